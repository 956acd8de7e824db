"""A state store and a read cache without a byte left: writes are accepted and applied, and nothing stale is shown."""

from collections.abc import Iterator

import orjson
import pytest

from config.settings import caches
from deploy.embedded import binaries
from posts import fragments
from posts.commands import CreateComment, CreatePost
from socialapp.cqrs import consumers, locks, outcomes, reader, valkey, waking, wire
from socialapp.cqrs.problems import Unavailable
from socialapp.cqrs.submit import submit
from socialapp.tests.valkeys import ValkeyLog, valkey_log


@pytest.fixture(scope="module")
def server(servers, tmp_path_factory) -> Iterator[ValkeyLog]:
    with valkey_log(binaries.valkey(), tmp_path_factory.mktemp("store")) as own:
        yield own


@pytest.fixture
def state(server, settings, author) -> ValkeyLog:
    settings.CACHES = settings.CACHES | {"default": caches.valkey(server.url, timeout=2)}
    return server


@pytest.fixture
def read_cache(server, settings, author) -> Iterator[ValkeyLog]:
    server.client().flushdb()
    server.client().config_set("maxmemory-policy", "volatile-lru")
    settings.CACHES = settings.CACHES | {"read_cache": caches.valkey(server.url, timeout=2)}
    wire.transport.cache_clear()
    yield server
    wire.transport.cache_clear()


def shown_comments(post) -> int:
    return orjson.loads(fragments.posts.get(post).body)["comment_count"]


def test_a_full_state_store_costs_no_accepted_write(state, author, drain_all):
    with state.full():
        accepted = submit(CreatePost("waits for nobody"), actor_id=author)
        waking.wake_consumers()
        drain_all()
        assert outcomes.lookup([accepted.command_id])[accepted.command_id].status == "applied"
        with pytest.raises(Unavailable), locks.exclusive("order", "any"):
            raise AssertionError("nobody can lock in a full store")
    with locks.exclusive("order", "any"):
        assert valkey.state().exists(b"filler") == 0


def test_a_full_cache_shows_nothing_stale(read_cache, author, drain_all):
    post = submit(CreatePost("host"), actor_id=author).resource_id
    drain_all()
    consumers.run("cache")
    assert shown_comments(post) == 0
    with read_cache.full():
        # Entries have made room: what is left has no TTL.
        comment = submit(CreateComment(str(post), "first"), actor_id=author)
        drain_all()
        assert outcomes.lookup([comment.command_id])[comment.command_id].status == "applied"
        assert shown_comments(post) == 1
        assert not reader.breaker.is_open, "a full cache answers: what it holds is still read"
    consumers.run("cache")
    assert shown_comments(post) == 1
    submit(CreateComment(str(post), "second"), actor_id=author)
    drain_all()
    assert shown_comments(post) == 2


def test_a_cache_that_forgets_all_at_once_keeps_no_worker(read_cache, author, drain_all):
    """It is above its limit, and evicts at each write what it was told by the one before."""
    post = submit(CreatePost("host"), actor_id=author).resource_id
    drain_all()
    consumers.run("cache")
    assert shown_comments(post) == 0
    with read_cache.full(above=100_000):
        comment = submit(CreateComment(str(post), "first"), actor_id=author)
        drain_all()
        assert outcomes.lookup([comment.command_id])[comment.command_id].status == "applied"
        assert shown_comments(post) == 1
    reader.breaker.close()
    consumers.run("cache")
    assert shown_comments(post) == 1
