"""Reads from a real replica that lags: with a token never stale, without one told `eventual`."""

from posts import fragments
from posts.commands import CreatePost, EditPost
from socialapp.cqrs import cache, heartbeat, roles, routing, servers, valkey
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.routing import Requirement, requiring
from socialapp.cqrs.scripts import Script
from socialapp.cqrs.submit import submit
from socialapp.tests.topology.conftest import wait_for


def written(author, drain_all, monkeypatch, text="written") -> tuple[str, Token]:
    with monkeypatch.context() as patched:
        patched.setattr(roles, "may_write", lambda: True)
        accepted = submit(CreatePost(text), actor_id=author)
        drain_all()
    _, position = routing.position(routing.PRIMARY)
    timeline, _ = routing.position(routing.PRIMARY)
    return str(accepted.resource_id), Token(timeline, position)


def test_a_replica_serves_reads(reading):
    assert routing.choose().alias == "replica1"


def test_a_replica_that_has_not_replayed_the_token_is_passed_by(
    reading,
    author,
    drain_all,
    paused_replica,
    monkeypatch,
):
    with paused_replica():
        post, token = written(author, drain_all, monkeypatch)
        assert routing.choose().alias == "replica1", "without a token a little lag is fine"
        with requiring(Requirement(token)):
            assert routing.choose().alias == "default"
            assert b"written" in fragments.posts.get(post).body
    with requiring(Requirement(token)):
        assert routing.choose().alias == "replica1", "it has caught up"


def test_a_miss_is_not_filled_from_a_replica_below_the_floor(
    reading,
    author,
    drain_all,
    paused_replica,
    monkeypatch,
):
    post, _ = written(author, drain_all, monkeypatch, "before")
    fragments.posts.get(post)
    with paused_replica():
        with monkeypatch.context() as patched:
            patched.setattr(roles, "may_write", lambda: True)
            submit(EditPost("after"), actor_id=author, resource_id=post)
            drain_all()
        assert b"after" in fragments.posts.get(post).body, "no token, and still not stale: the floor"
        assert b"after" in fragments.posts.get(post).body


def test_without_the_floor_the_same_read_is_stale(reading, author, drain_all, paused_replica, monkeypatch):
    """What the test above protects from: take the rule away, and the old text is back."""
    post, _ = written(author, drain_all, monkeypatch, "before")
    fragments.posts.get(post)
    monkeypatch.setattr(cache, "INVALIDATE", Script("redis.call('DEL', KEYS[1], KEYS[2]) return 1"))
    with paused_replica():
        with monkeypatch.context() as patched:
            patched.setattr(roles, "may_write", lambda: True)
            accepted = submit(EditPost("after"), actor_id=author, resource_id=post)
            drain_all()
        assert accepted
        assert b"before" in fragments.posts.get(post).body


def test_lost_memory_sends_reads_to_the_primary(reading, author, drain_all, paused_replica, monkeypatch):
    with paused_replica():
        post, _ = written(author, drain_all, monkeypatch)
        valkey.read_cache().flushdb()
        assert b"written" in fragments.posts.get(post).body


def test_lost_memory_without_a_primary_is_served_stale_and_not_kept(
    reading, author, drain_all, monkeypatch, dead_primary
):
    post, token = written(author, drain_all, monkeypatch)
    with requiring(Requirement(token)):
        wait_for(lambda: routing.choose().alias == "replica1")
    valkey.read_cache().flushdb()
    with dead_primary():
        assert b"written" in fragments.posts.get(post).body
    assert valkey.read_cache().get(fragments.posts.key(post)) is None


def test_a_token_of_a_newer_timeline_is_served_by_nobody_as_strong(reading):
    required = Requirement(Token(timeline=99, position=1))
    with requiring(required):
        assert routing.choose().alias == "default", "the best that there is"
    assert not required.kept


def test_a_replica_that_lags_too_much_is_ejected(reading, paused_replica, settings):
    settings.REPLICA_MAX_LAG = 0.0
    with paused_replica():
        heartbeat.beat()
        heartbeat._looked_at = 0.0
        assert routing.choose().alias == "default"
        assert servers.ejected("replica1") == servers.LAGGING
        assert routing.candidates() == ["default"]
