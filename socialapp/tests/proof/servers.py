"""The real primary and the real replica, each with a hand on what normally takes care of itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.pq import TransactionStatus

from deploy.embedded.stack import Stack
from socialapp.tests.topology.conftest import as_superuser, wait_until


class Replica:
    """It replays nothing but what `catch_up` lets it."""

    def __init__(self, stack: Stack):
        self._replica, self._primary = as_superuser(stack, "replica"), as_superuser(stack, "primary")

    def pause(self) -> None:
        self._replica.execute("SELECT pg_wal_replay_pause()")
        wait_until(self._replica, "SELECT pg_get_wal_replay_pause_state() = 'paused'")

    def resume(self) -> None:
        """Returns when it has replayed all that the primary has flushed."""
        (end,) = self._primary.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        self._replica.execute("SELECT pg_wal_replay_resume()")
        wait_until(self._replica, f"SELECT pg_last_wal_replay_lsn() >= '{end}'")

    def catch_up(self) -> None:
        self.resume()
        self.pause()

    def close(self) -> None:
        self.resume()
        self._replica.close()
        self._primary.close()


class SlowCommits:
    """Commits on the primary that are flushed, and then not shown to anybody until `show`.

    That moment is short in a quiet server. It is made long by a synchronous standby that never answers, for which
    Postgres waits exactly there; cancelling the wait ends it. All other sessions do not wait for standbys.
    """

    def __init__(self, stack: Stack, database: str):
        self._superuser = as_superuser(stack, "primary")
        self._set("synchronous_commit", "local")
        self._set("synchronous_standby_names", "nobody")
        self._writer = psycopg.connect(stack.environment("worker")["DATABASE_URL"], dbname=database, autocommit=True)
        self._writer.execute("SET synchronous_commit = on")
        self._pid = self._writer.info.backend_pid

    def _set(self, name: str, setting: str) -> None:
        self._superuser.execute(f"ALTER SYSTEM SET {name} = '{setting}'")
        self._superuser.execute("SELECT pg_reload_conf()")
        wait_until(self._superuser, f"SELECT current_setting('{name}') = '{setting}'")

    def flush(self, statement: str) -> None:
        self._writer.pgconn.send_query(statement.encode())
        wait_until(self._superuser, f"SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = {self._pid}")

    def show(self) -> None:
        self._superuser.execute("SELECT pg_cancel_backend(%s)", [self._pid])
        while self._writer.pgconn.get_result():
            pass

    @property
    def is_waiting(self) -> bool:
        return self._writer.info.transaction_status == TransactionStatus.ACTIVE

    def close(self) -> None:
        if self.is_waiting:
            self.show()
        for name in ("synchronous_standby_names", "synchronous_commit"):
            self._superuser.execute(f"ALTER SYSTEM RESET {name}")
        self._superuser.execute("SELECT pg_reload_conf()")
        self._writer.close()
        self._superuser.close()


@contextmanager
def held(stack: Stack, database: str) -> Iterator[tuple[Replica, SlowCommits]]:
    replica, commits = Replica(stack), SlowCommits(stack, database)
    try:
        replica.pause()
        yield replica, commits
    finally:
        commits.close()
        replica.close()
