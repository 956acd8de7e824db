"""The command log on a cluster of three primaries: the tests of accepting and applying once more."""

import pytest

from config.settings import caches
from deploy.embedded import binaries
from posts.commands import CreatePost
from socialapp.cqrs import inbox, keys, log, outcomes, valkey
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.ids import PARTITIONS, new_id
from socialapp.cqrs.models import InboxCommand
from socialapp.cqrs.submit import breaker, submit
from socialapp.ops import health
from socialapp.tests.kernel.test_apply import *  # noqa: F403 the same tests, on a cluster
from socialapp.tests.kernel.test_retention import *  # noqa: F403
from socialapp.tests.kernel.test_submit import *  # noqa: F403
from socialapp.tests.valkeys import PRIMARIES, ValkeyCluster, valkey_cluster


@pytest.fixture(scope="module")
def nodes(servers, tmp_path_factory) -> ValkeyCluster:
    with valkey_cluster(binaries.valkey(), tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def on_a_cluster(nodes, settings, monkeypatch, clean_stores):
    settings.CACHES = settings.CACHES | {"command_log": caches.valkey(nodes.url, timeout=0.5)}
    monkeypatch.setenv("LOG_URL", nodes.url)
    monkeypatch.setattr(outcomes, "_breaker", Breaker(open_for=(0, 0), probe=0))
    valkey.command_log().flushdb()


def test_the_partitions_are_spread_over_the_nodes(nodes, author, drain_all):
    posts = [new_id(partition) for partition in range(PARTITIONS)]
    made = [submit(CreatePost("everywhere"), actor_id=author, resource_id=post) for post in posts]
    assert log.waiting_partitions() == list(range(PARTITIONS))
    assert all(nodes.client(node).keys("*:stream:*") for node in range(PRIMARIES))
    drain_all()
    found = outcomes.lookup([accepted.command_id for accepted in made])
    assert {outcome.status for outcome in found.values()} == {"applied"} and len(found) == PARTITIONS


def test_the_inbox_is_taken_over(nodes, author, drain_all):
    keyed = {"idempotency_key": "k", "fingerprint": "f"}
    kept = inbox.put(Envelope(new_id(4), CreatePost("once"), author, new_id(4), **keyed), after_stamp=0)
    drain_all()
    again = submit(CreatePost("once"), actor_id=author, **keyed)
    assert (again.command_id, again.replayed) == (kept.envelope.id, True)
    assert not InboxCommand.objects.exists()


def test_readiness_asks_every_node(nodes):
    durable = {"appendonly": "yes", "appendfsync": "always"}
    for node in range(PRIMARIES):
        assert health._log()["error"] == "set appendonly, appendfsync", "nodes without a disk are no log"
        for name, value in durable.items():
            nodes.client(node).config_set(name, value)
    assert "error" not in health._log()


def test_slots_that_move_are_followed(nodes, author, drain_all):
    log_client = valkey.command_log()
    key = keys.stream(7)
    owner = log_client.get_node_from_key(key)
    other = next(node for node in log_client.get_primaries() if node.name != owner.name)
    nodes.move(log_client.keyslot(key), other.port)
    try:
        accepted = submit(CreatePost("moved"), actor_id=author, resource_id=new_id(7))
        assert not InboxCommand.objects.exists()
        drain_all()
        assert outcomes.lookup([accepted.command_id])[accepted.command_id].status == "applied"
    finally:
        nodes.move(log_client.keyslot(key), owner.port)


def test_a_node_that_is_gone_costs_no_write(nodes, author, drain_all):
    """Last, since the node stays away."""
    nodes.nodes[2].kill()
    nodes.nodes[2].wait(timeout=10)
    made = []
    for partition in range(PARTITIONS):
        breaker.close()
        made.append(submit(CreatePost("anyway"), actor_id=author, resource_id=new_id(partition)))
    kept = InboxCommand.objects.count()
    assert 0 < kept < PARTITIONS, "only the commands of that node"
    assert {outcomes.lookup([one.command_id])[one.command_id].status for one in made} == {"accepted"}
