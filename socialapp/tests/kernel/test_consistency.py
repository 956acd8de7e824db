"""Tokens: what a client has written, it reads."""

import time
from uuid import UUID

import pytest

from posts.commands import CreatePost
from socialapp.cqrs import apply, outcomes, valkey
from socialapp.cqrs.consistency import BadToken, Token
from socialapp.cqrs.http.freshness import settled
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.submit import submit


def test_a_token_survives_the_wire():
    token = Token(1, 123456, 1_800_000_000_000_000, {7: new_id(7), 15: new_id(15)})
    assert Token.decode(token.encode()) == token


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: "x" + t, lambda t: "", lambda t: "é" + t])
def test_a_token_that_was_tampered_with_is_refused(change):
    with pytest.raises(BadToken):
        Token.decode(change(Token(1, 2, 3).encode()))


def test_merging_keeps_what_both_have_seen():
    a, b = Token(1, 100, 7, {1: new_id(1)}), Token(1, 90, 9, {2: new_id(2)})
    merged = a.merged(b)
    assert (merged.position, merged.stamp, set(merged.pending)) == (100, 9, {1, 2})


def test_positions_of_different_timelines_do_not_compare():
    assert Token(2, 10).merged(Token(1, 999)) == Token(2, 10)
    assert Token(1, 999).merged(Token(2, 10)) == Token(2, 10)


def test_a_pending_command_is_waited_for_and_then_is_a_position(author, drain_all):
    accepted = submit(CreatePost("mine"), actor_id=author)
    token, kept = settled(accepted.token, 0.01)
    assert not kept and token.pending
    drain_all()
    token, kept = settled(accepted.token, 0.01)
    assert kept and not token.pending and token.position > 0


def test_while_an_invalidation_is_not_confirmed_the_command_stays_pending(author, monkeypatch):
    accepted = submit(CreatePost("unconfirmed"), actor_id=author)

    def unreachable():
        raise valkey.RedisError("down")

    with monkeypatch.context() as patched:
        patched.setattr(valkey, "read_cache", unreachable)
        apply.drain(partition_of(accepted.command_id))
    token, kept = settled(accepted.token, 0.01)
    assert kept, "the effect is known"
    assert token.pending, "but the cache may hold what was before"


def test_the_cache_consumer_confirms_it_later(author, monkeypatch):
    from socialapp.cqrs import consumers

    test_while_an_invalidation_is_not_confirmed_the_command_stays_pending(author, monkeypatch)
    accepted = submit(CreatePost("confirmed later"), actor_id=author)
    with monkeypatch.context() as patched:
        patched.setattr(valkey, "read_cache", lambda: (_ for _ in ()).throw(valkey.RedisError("down")))
        apply.drain(partition_of(accepted.command_id))
    while consumers.run("cache"):
        pass
    token, kept = settled(accepted.token, 0.01)
    assert kept and not token.pending


def test_an_outcome_outlives_the_logs_memory(author, drain_all):
    accepted = submit(CreatePost("old"), actor_id=author)
    drain_all()
    valkey.command_log().flushdb()
    outcome = outcomes.lookup([accepted.command_id])[accepted.command_id]
    assert outcome.status == "applied" and outcome.position > 0
    assert UUID(outcome.resource_id) == accepted.resource_id
    assert outcome.confirmed is False, "nobody can tell any more whether the cache was cleared"


def test_no_more_than_so_many_wait(author, settings):
    accepted = submit(CreatePost("nobody applies this"), actor_id=author)
    taken = 0
    while outcomes._waiters.acquire(blocking=False):
        taken += 1
    try:
        started = time.monotonic()
        assert outcomes.wait([accepted.command_id], seconds=5)[accepted.command_id].status == "accepted"
        assert time.monotonic() - started < 1
    finally:
        outcomes._waiters.release(taken)
    assert taken == settings.MOST_WAITERS
