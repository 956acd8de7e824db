"""Whose fault is an error? The servers' (try the same again) or the command's or event's (put it aside)."""

from celery.exceptions import SoftTimeLimitExceeded
from django.db import InterfaceError, OperationalError
from psycopg.errors import CheckViolation

from socialapp.cqrs import valkey

# SQLSTATE classes: lost connections, rollbacks, lack of resources, not ready or cancelled (55, 57), a disk that fails;
# and 25006, which is what a primary says to a write when a failover has made it a replica.
INFRASTRUCTURE = ("08", "40", "53", "55", "57", "58", "25006")
# A transaction that was idle, or open, for too long. Postgres has closed its connection.
OUT_OF_TIME = ("25P03", "25P04")
# A server is lost, full or shut down (57P01 to 57P05), its disk fails, or the query stood in the way of a replica's
# replay (40001, 40P01). Not 57014: a statement that was too slow here is too slow on the next server too.
ELSEWHERE = ("08", "40", "53", "57P", "58")


class OutsideUnreachable(Exception):
    """A server that is not of the house, and that a consumer publishes to, cannot be reached."""


def is_infrastructure(error: BaseException) -> bool:
    """Whether an error says something about the servers, and nothing about what was being done."""
    # Celery ends a drain that takes too long wherever it happens to be.
    elsewhere = isinstance(error, (*valkey.UNREACHABLE, OutsideUnreachable, SoftTimeLimitExceeded))
    lost = elsewhere or _is_postgres(error, INFRASTRUCTURE)
    return lost or is_out_of_time(error) or _lacks_a_partition(error)


def is_out_of_time(error: BaseException) -> bool:
    """Whether Postgres ended the transaction of a process that froze, or of commands that take forever."""
    return _sqlstate(error) in OUT_OF_TIME


def may_succeed_elsewhere(error: BaseException) -> bool:
    """Whether a read that failed so on one database server may be asked of another."""
    return _is_postgres(error, ELSEWHERE)


def _is_postgres(error: BaseException, classes: tuple[str, ...]) -> bool:
    if isinstance(error, OperationalError | InterfaceError) and not _sqlstate(error):
        return True
    return _sqlstate(error).startswith(classes)


def _lacks_a_partition(error: BaseException) -> bool:
    """A row that no partition takes (partitions.py) violates a check, but one without a name."""
    cause = error.__cause__
    return isinstance(cause, CheckViolation) and cause.diag.constraint_name is None


def _sqlstate(error: BaseException) -> str:
    """Five characters, or nothing when the server could not say what was wrong."""
    return getattr(error.__cause__, "sqlstate", None) or ""
