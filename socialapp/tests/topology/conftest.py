"""A hand on the real replica: its replay can be held still and let go."""

from contextlib import contextmanager

import psycopg
import pytest

from deploy.embedded.environment import database_url


def as_superuser(stack, node: str) -> psycopg.Connection:
    url = database_url("postgres", stack.cast.secret.superuser_password, stack.cast.home, node, "postgres")
    return psycopg.connect(url, autocommit=True)


@pytest.fixture
def paused_replica(servers):
    """`with paused_replica():` the replica replays nothing; afterwards it has caught up."""

    @contextmanager
    def paused():
        with as_superuser(servers, "replica") as replica, as_superuser(servers, "primary") as primary:
            replica.execute("SELECT pg_wal_replay_pause()")
            wait_until(replica, "SELECT pg_get_wal_replay_pause_state() = 'paused'")
            try:
                yield
            finally:
                replica.execute("SELECT pg_wal_replay_resume()")
                (position,) = primary.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
                wait_until(replica, f"SELECT pg_last_wal_replay_lsn() >= '{position}'")

    return paused


def wait_until(connection: psycopg.Connection, question: str) -> None:
    """Poll the server itself; it is local, and what is waited for takes milliseconds."""
    for _ in range(20_000):
        if connection.execute(question).fetchone()[0]:
            return
    raise AssertionError(f"never became true: {question}")
