"""A time limit of its own for the statements of one expensive read."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connections, transaction

QUERY_CANCELED = "57014"


class OutOfTime(Exception):
    """The database ended a statement that took longer than it was given."""


@contextmanager
def within(seconds: float, using: str) -> Iterator[None]:
    """Each statement of this block may take so long. Raises OutOfTime."""
    try:
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{int(seconds * 1000)}ms"])
            yield
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) != QUERY_CANCELED:
            raise
        raise OutOfTime() from error
