"""A command that was lost with the log: it is said once, and never of a command that merely could not be found."""

import time
from datetime import UTC, datetime

import orjson
import pytest
from django.db import connections

from posts.commands import CreatePost
from socialapp.cqrs import heartbeat, outcomes, routing, valkey
from socialapp.cqrs.http.freshness import settled
from socialapp.cqrs.problems import Unavailable
from socialapp.cqrs.submit import submit

# Far longer than a look takes.
PATIENCE = 5.0


@pytest.fixture(autouse=True)
def answering(clean_stores):
    outcomes._breaker.close()
    yield
    outcomes._breaker.close()
    connections["default"].close()


@pytest.fixture
def lost(author):
    accepted = submit(CreatePost("lost"), actor_id=author)
    valkey.command_log().flushdb()
    return accepted


def test_a_command_that_is_unknown_everywhere_is_said_once_and_not_waited_for(lost):
    started = time.monotonic()
    token, kept = settled(lost.token, PATIENCE)
    assert (token.pending, kept) == ((), False)
    assert time.monotonic() - started < PATIENCE, "nobody waits for it"
    token, kept = settled(token, PATIENCE)
    assert (token.pending, kept) == ((), True)
    assert outcomes.lookup([lost.command_id]) == {}


def test_another_command_that_waits_stays_pending(lost, author):
    waits = submit(CreatePost("waits"), actor_id=author, token=lost.token)
    token, kept = settled(waits.token, 0.01)
    assert (token.pending, kept) == ((waits.command_id,), False)


def test_a_command_is_not_dropped_while_the_log_cannot_be_asked(lost):
    outcomes._breaker.trip()
    token, kept = settled(lost.token, 0.01)
    assert (token.pending, kept) == ((lost.command_id,), False)


def test_a_command_is_not_dropped_while_the_primary_cannot_be_asked(lost, monkeypatch):
    monkeypatch.setitem(connections.databases["default"], "HOST", "/nowhere")
    connections["default"].close()
    token, kept = settled(lost.token, 0.01)
    assert (token.pending, kept) == ((lost.command_id,), False)


def test_a_server_that_was_replaced_does_not_speak_for_the_primary(lost, monkeypatch):
    """It may lack what the promoted one has."""
    promoted = [routing.position(routing.PRIMARY)[0] + 1, datetime.now(UTC)]
    valkey.state().set(heartbeat._KEY, orjson.dumps(promoted))
    monkeypatch.setattr(heartbeat, "_newest", heartbeat.NEVER)
    monkeypatch.setattr(heartbeat, "_looked_at", 0.0)
    found, unknown = outcomes.wait_or_unknown([lost.command_id], seconds=0)
    assert (found, unknown) == ({}, set())
    with pytest.raises(Unavailable):
        outcomes.lookup([lost.command_id])
