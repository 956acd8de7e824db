"""A hand on real replicas: their replay can be held still, their connections cut, and one of them promoted."""

import time
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connections

from deploy.embedded.environment import database_url
from socialapp.cqrs import heartbeat, roles, servers
from socialapp.tests.topology.clone import Clone


def as_superuser(stack, node: str, database: str = "postgres") -> psycopg.Connection:
    url = database_url("postgres", stack.cast.secret.superuser_password, stack.cast.home, node, database)
    return psycopg.connect(url, autocommit=True)


@pytest.fixture
def reading(monkeypatch, author):
    """This process reads as a read server does, replicas first, and has seen nothing of any server yet."""
    monkeypatch.setattr(roles, "may_write", lambda: False)
    heartbeat.forget()
    # Long enough for a test to look at what was ejected.
    monkeypatch.setattr(servers, "EJECTION", (60.0, 60.0))
    servers.forget()
    connections.close_all()
    yield
    servers.forget()
    heartbeat.forget()


@pytest.fixture
def writing(monkeypatch):
    """`with writing():` this process writes for a moment, as a worker does."""

    @contextmanager
    def writer():
        with monkeypatch.context() as patched:
            patched.setattr(roles, "may_write", lambda: True)
            yield

    return writer


@pytest.fixture
def another_server():
    """another_server(alias, folder of its socket): one more of REPLICA_URLS."""
    added = []

    def add(alias: str, folder: object) -> str:
        connections.databases[alias] = {**connections.databases["replica1"], "HOST": str(folder)}
        added.append(alias)
        return alias

    yield add
    for alias in added:
        connections[alias].close()
        del connections[alias]
        del connections.databases[alias]


@pytest.fixture
def dead_primary(monkeypatch):
    """`with dead_primary():` nobody answers where the primary was."""

    @contextmanager
    def dead():
        with monkeypatch.context() as patched:
            connections["default"].close()
            patched.setitem(connections.databases["default"], "HOST", "/nowhere")
            yield
        connections["default"].close()

    return dead


@pytest.fixture
def clone(servers):
    """One more replica of the primary, in processes of its own, which a test may promote."""
    made = Clone(servers, "clone")
    made.start()
    wait_for(lambda: can_connect(servers, "clone"))
    yield made
    made.stop()


def can_connect(stack, node: str) -> bool:
    try:
        as_superuser(stack, node).close()
    except psycopg.OperationalError:
        return False
    return True


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


def wait_for(condition, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("never became true")
        time.sleep(0.02)
