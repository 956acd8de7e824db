"""One snapshot of the primary for several statements: what they find belongs together."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, transaction

from socialapp.cqrs.servers import PRIMARY


@contextmanager
def snapshot() -> Iterator[None]:
    """Statements of this block see the primary as it was at the first one, and may not write. Raises RuntimeError
    inside a transaction, whose snapshot would be another."""
    with transaction.atomic(using=PRIMARY, durable=True):
        with connections[PRIMARY].cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
