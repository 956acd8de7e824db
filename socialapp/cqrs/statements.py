"""How the statements of a write travel: parsed and planned once per connection, in as few trips as there may be.

Django's own cursors put parameters into the text of a statement, so that no two are the same to the server; of what
Postgres spends on an order, parsing and planning would be a third. And each trip costs both sides a wait. Behind a
pooler that does not know prepared statements, the setting PREPARED_STATEMENTS turns them off.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import psycopg
from django.db import connections
from django.db.backends.utils import CursorWrapper
from psycopg.pq import TransactionStatus

# psycopg also keeps the texts of other statements, to count how often each comes.
MOST_KEPT = 20


class _Cursor(psycopg.Cursor):
    def execute(self, query, params=None, **options):
        return super().execute(query, params, prepare=True, **options)


def cursor(alias: str = "default") -> CursorWrapper:
    """As Django's, on the same connection and in the same transaction; parameters are never part of the text."""
    connection = connections[alias]
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    connection.connection.prepared_max = MOST_KEPT
    wrap = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    return wrap(_Cursor(connection.connection))


@contextmanager
def pipeline() -> Iterator[None]:
    """What is executed on the primary in this block is waited for once, at its end; errors are raised there at latest.

    Results can be had afterwards; to ask for them in the block would be a trip of its own.
    """
    connection = connections["default"]
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


def with_begin() -> AbstractContextManager:
    """For the first statements of a transaction: BEGIN goes with them. Without effect in one that has begun."""
    begun = connections["default"].connection.info.transaction_status != TransactionStatus.IDLE
    return nullcontext() if begun else pipeline()


class Committed:
    """A COMMIT that was sent in a pipeline. happened: whether the server has confirmed it."""

    def __init__(self, sent: CursorWrapper):
        self._sent = sent

    @property
    def happened(self) -> bool:
        return self._sent.statusmessage == "COMMIT"


def commit() -> Committed:
    """Commit the transaction of an outermost `atomic` block, in a pipeline; Django then has nothing left to commit."""
    sent = connections["default"].cursor()
    sent.execute("COMMIT")
    return Committed(sent)
