"""The read cache on a cluster of three primaries: the protocol's tests once more, and what only a cluster has."""

import pytest

from config.settings import caches
from deploy.embedded import binaries
from posts import fragments
from posts.commands import CreatePost
from socialapp.accounts.models import User
from socialapp.cqrs import audit, cache, keys, reader, valkey, wire
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.sampling import sample
from socialapp.cqrs.servers import Place
from socialapp.cqrs.submit import submit
from socialapp.ops import room
from socialapp.tests.conditions import invisible, visible
from socialapp.tests.kernel.test_cache import *  # noqa: F403 the same tests, on a cluster
from socialapp.tests.valkeys import PRIMARIES, ValkeyCluster, valkey_cluster, wait_until


@pytest.fixture(scope="module")
def nodes(servers, tmp_path_factory) -> ValkeyCluster:
    with valkey_cluster(binaries.valkey(), tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def on_a_cluster(nodes, settings, monkeypatch, clean_stores):
    monkeypatch.setattr(reader, "breaker", Breaker(open_for=(0.1, 0.2), probe=0.1))
    settings.CACHES = settings.CACHES | {"read_cache": caches.valkey(nodes.url, timeout=0.5)}
    wire.transport.cache_clear()
    list(cache.forget())
    yield
    wire.transport.cache_clear()


def test_a_list_whose_entities_are_on_all_nodes(nodes, author, drain_all, django_assert_num_queries):
    made = {str(submit(CreatePost(f"number {n}"), actor_id=author).resource_id) for n in range(30)}
    drain_all()
    first = fragments.posts.get_existing(sorted(made))
    with django_assert_num_queries(0):
        assert fragments.posts.get_existing(sorted(made)) == first
    assert all(nodes.client(node).dbsize() > 0 for node in range(PRIMARIES))


def test_forgetting_reaches_every_node():
    entry_keys = [keys.entry("things", "entity", n) for n in range(40)]
    for key in entry_keys:
        cache.fill(cache.lookup(key), b"body", place=Place(1, 1), ttl=10)
    assert sum(cache.forget("things:*")) == 40
    assert all(cache.lookup(key).floor == Place(1, 1) for key in entry_keys), "floors stay"


def test_a_node_that_lost_its_memory_is_told_from_the_others(nodes):
    entry_keys = [keys.entry("things", "entity", n) for n in range(40)]
    for key in entry_keys:
        cache.fill(cache.lookup(key), b"body", place=Place(1, 1), ttl=10)
    nodes.client(0).flushall()
    found = cache.lookup_many([(key, "") for key in entry_keys])
    lost = [outcome for outcome in found if isinstance(outcome, cache.Lease)]
    assert 0 < len(lost) < 40 and all(lease.floor is None for lease in lost)


def test_slots_that_move_are_followed(nodes):
    """The slots of one key go to another node while this process still believes in the old one."""
    key = keys.entry("things", "entity", "moving")
    cache.fill(cache.lookup(key), b"body", place=Place(1, 1), ttl=10)
    assert wire.get([(key, "")])[0].endswith(b"body")
    owner = valkey.read_cache().get_node_from_key(key)
    other = next(node for node in valkey.read_cache().get_primaries() if node.name != owner.name)
    nodes.move(valkey.read_cache().keyslot(key), other.port)
    try:
        assert wire.get([(key, "")]) == [None]
        lease = cache.lookup(key)
        assert lease.floor is None
        assert cache.fill(lease, b"moved", place=Place(1, 1), ttl=10)
        assert wire.get([(key, "")])[0].endswith(b"moved")
    finally:
        nodes.move(valkey.read_cache().keyslot(key), owner.port)


def test_an_audit_samples_every_node(nodes, author, drain_all):
    made = [str(submit(CreatePost(f"number {n}"), actor_id=author).resource_id) for n in range(30)]
    drain_all()
    fragments.posts.get_existing(made)
    fragments.posts_by_author.get(User.objects.get(pk=author).username, limit=20, cursor=None)
    slots = list(sample(1000))
    assert {key for key, page in slots if not page} >= set(map(fragments.posts.key, made))
    assert any(page for _, page in slots)
    looks = [audit.look(audit.subject(*slot)) for slot in slots]
    assert {look.outcomes[audit.CACHE] for look in looks} == {audit.within(0)}


def test_a_cluster_with_replicas_is_an_alarm(nodes, tmp_path):
    """A failover to one would bring back entries that were dropped."""
    assert invisible("a replicated read cache")
    with nodes.replica(binaries.valkey(), tmp_path, of=1):
        assert visible("a replicated read cache")
        assert "has 1 replicas" in room.cache_replication()
    wait_until(lambda: not room.cache_replicas())
    assert invisible("a replicated read cache")


def test_a_node_that_is_gone_costs_no_read(nodes, author, drain_all):
    """Last, since the node stays away."""
    made = [str(submit(CreatePost(f"number {n}"), actor_id=author).resource_id) for n in range(30)]
    drain_all()
    before = fragments.posts.get_existing(made)
    nodes.nodes[2].kill()
    nodes.nodes[2].wait(timeout=10)
    assert fragments.posts.get_existing(made) == before
