"""Sessions on the primary that others wait for: old transactions and locked tables. For health, metrics and commands.

`deploy/postgres/roles.sql` grants pg_read_all_stats to the write role. Without it Postgres hides since when the
sessions of other users run, and ages are None.
"""

from dataclasses import dataclass

from django.db import connections

# A transaction with an id holds back every reader of events (events.horizon), in whatever database of the server it
# runs; a prepared one has no session.
OLDEST = """
    SELECT pid, extract(epoch FROM clock_timestamp() - began)::float FROM (
        SELECT pid::text AS pid, xact_start AS began, backend_xid AS xid FROM pg_stat_activity
        WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
        UNION ALL SELECT 'prepared ' || gid, prepared, transaction FROM pg_prepared_xacts
    ) AS running ORDER BY age(xid) DESC LIMIT 1
"""

# Modes that keep others from writing or reading. Autovacuum's own locks yield to whoever waits for them.
LOCKED = """
    SELECT relation.relname, holder.pid, extract(epoch FROM clock_timestamp() - holder.xact_start)::float
    FROM pg_locks AS lock
    JOIN pg_class AS relation ON relation.oid = lock.relation AND relation.relkind IN ('r', 'p')
    JOIN pg_namespace AS space ON space.oid = relation.relnamespace AND space.nspname = 'public'
    JOIN pg_stat_activity AS holder ON holder.pid = lock.pid AND holder.backend_type = 'client backend'
    WHERE lock.granted AND lock.locktype = 'relation' AND lock.pid <> pg_backend_pid()
      AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND lock.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    ORDER BY holder.xact_start NULLS FIRST LIMIT 20
"""


@dataclass(frozen=True, slots=True)
class Transaction:
    """session: a process id, or "prepared" and a name. seconds: since it began; None if Postgres does not say."""

    session: str
    seconds: float | None

    def __str__(self):
        return f"session {self.session}, {_age(self.seconds)}"


@dataclass(frozen=True, slots=True)
class LockedTable:
    """A table that others cannot write. seconds: since the transaction of its holder began; None as above."""

    table: str
    pid: int
    seconds: float | None

    def __str__(self):
        return f"{self.table} by session {self.pid}, {_age(self.seconds)}"


def oldest_transaction() -> Transaction | None:
    """The transaction that the readers of events wait for, if one runs. Raises one of django.db.Error."""
    with connections["default"].cursor() as cursor:
        cursor.execute(OLDEST)
        found = cursor.fetchone()
    return Transaction(*found) if found else None


def locked_tables() -> list[LockedTable]:
    """At most 20 tables that are locked now, those locked longest first. Raises one of django.db.Error."""
    with connections["default"].cursor() as cursor:
        cursor.execute(LOCKED)
        return [LockedTable(*row) for row in cursor.fetchall()]


def is_old(seconds: float | None, limit: float) -> bool:
    """Whether something has lasted for `limit` seconds. An unknown age counts as old: better one alarm too many."""
    return seconds is None or seconds >= limit


def _age(seconds: float | None) -> str:
    return "since an unknown time" if seconds is None else f"for {seconds:.0f} s"
