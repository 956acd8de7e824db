"""Bad states on the primary and of the queues, caused and then looked at as operators do."""

import time
from contextlib import contextmanager

import psycopg
import pytest
from django.core.management.base import CommandError
from django.db import connection

from posts.commands import CreatePost
from socialapp.cqrs import consumers, keys, progress, valkey
from socialapp.cqrs.postgres import activity
from socialapp.cqrs.submit import submit
from socialapp.ops import health, liveness
from socialapp.tests.conditions import invisible, visible


@contextmanager
def another_session(first_statement: str, **parameters):
    """A transaction of another session that has run a statement and stays open."""
    own = connection.get_connection_params() | {"cursor_factory": psycopg.Cursor, "context": None}
    with psycopg.connect(**own | parameters) as other:
        other.execute(first_statement)
        yield other
        other.rollback()


@pytest.fixture
def impatient(monkeypatch):
    """Ages count from the beginning."""
    monkeypatch.setattr(health, "LONG_TRANSACTION", 0.0)
    monkeypatch.setattr(health, "LONG_LOCK", 0.0)
    monkeypatch.setattr(progress, "LONG_TRANSACTION", 0.0)


def test_a_long_transaction(clean_stores, author, drain_all, run, impatient):
    while consumers.run("post-counts"):
        pass
    with another_session("SELECT pg_current_xact_id()") as other:
        submit(CreatePost("held back"), actor_id=author)
        drain_all()
        consumers.run("post-counts")
        assert visible("a long transaction", threshold=0)
        pid = other.info.backend_pid
        assert f"session {pid}," in health._transactions()["error"]
        counts = next(row for row in progress.all_consumers() if row.offset.consumer == "post-counts")
        assert (counts.state, counts.events > 0, counts.seconds > 0) == (progress.HELD_BACK, True, True)
        with pytest.raises(CommandError, match="post-counts"):
            run("consumers")
    # The workers of a running stack have short transactions on the same server.
    assert f"session {pid}," not in str(health._transactions())


def test_a_session_of_a_user_who_may_not_be_watched(servers, monkeypatch, impatient):
    """Postgres hides since when it runs: that is no reason to fail, nor to say that all is well."""
    monkeypatch.setattr(activity, "OLDEST", "SELECT '4711', NULL::float")
    assert visible("a long transaction")
    assert "since an unknown time" in health._transactions()["error"]


def test_a_locked_table(servers, impatient):
    assert invisible("a locked table", threshold=0)
    with another_session("LOCK TABLE posts_post IN EXCLUSIVE MODE"):
        assert visible("a locked table", threshold=0)
        assert "posts_post" in health._tables()["error"]
    with another_session("LOCK TABLE posts_post IN ROW EXCLUSIVE MODE"):
        assert invisible("a locked table", threshold=0), "that is what every write does"


def test_a_queue_without_a_worker(clean_stores):
    alive = {"somebody": time.time() + 60}
    for queue in ("commands", "events", "outside"):
        valkey.state().zadd(keys.alive(liveness.queue_kind(queue)), alive)
    assert invisible("a queue without a worker")
    valkey.state().zrem(keys.alive(liveness.queue_kind("events")), *alive)
    assert visible("a queue without a worker")
