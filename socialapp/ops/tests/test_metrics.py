"""GET /metrics: what Prometheus reads, at each pool's own door."""

import time
from collections import Counter

import pytest
from django.db import OperationalError
from django.test import RequestFactory
from prometheus_client.parser import text_string_to_metric_families

from posts.commands import CreateComment, CreatePost
from socialapp.cqrs import keys, valkey, waking
from socialapp.cqrs.audit import BEHIND, CACHE, STALE, UNKNOWN, UNREACHABLE, within
from socialapp.cqrs.ids import partition_of
from socialapp.cqrs.submit import submit
from socialapp.ops import auditing, liveness, metrics
from socialapp.tests.client import Api


def samples(body: bytes) -> dict[tuple, float]:
    """Values by name and labels."""
    families = text_string_to_metric_families(body.decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


@pytest.fixture
def exposed(servers):
    valkey.state().delete(keys.audit("counts"))
    return lambda: samples(metrics.exposition(RequestFactory().get("/metrics")).content)


def test_counts_add_up_over_audits_and_shares_are_of_what_was_compared(exposed):
    one_audit = Counter({
        (CACHE, within(0)): 40, (CACHE, within(1)): 8, (CACHE, STALE): 2, (CACHE, UNKNOWN): 3,
        ("replica1", within(0)): 30, ("replica1", BEHIND): 10, ("replica1", UNREACHABLE): 5,
    })  # fmt: skip
    auditing.add(one_audit)
    auditing.add(one_audit)
    found = exposed()
    assert found["socialapp_cache_audit_checked_total", CACHE] == 100
    assert found["socialapp_cache_audit_consistent_total", CACHE, "0"] == 80
    assert found["socialapp_cache_audit_consistent_total", CACHE, "10"] == 96
    assert found["socialapp_cache_audit_consistent_ratio", CACHE, "1"] == 0.96
    assert found["socialapp_cache_audit_violations_total",] == 4
    assert found["socialapp_cache_audit_unknown_total",] == 6
    assert found["socialapp_cache_audit_consistent_ratio", "replica1", "10"] == 0.75
    assert found["socialapp_cache_audit_unreachable_total", "replica1"] == 10


def test_before_the_first_audit_nothing_was_found_and_no_share_is_claimed(exposed):
    found = exposed()
    assert found["socialapp_cache_audit_violations_total",] == 0
    assert found["socialapp_cache_audit_checked_total", CACHE] == 0
    assert not [name for name, *_ in found if name.startswith("socialapp_cache_audit") and name.endswith("_ratio")]


def test_without_the_state_store_it_still_answers(exposed, monkeypatch):
    def unreachable():
        raise valkey.RedisError("down")

    monkeypatch.setattr(valkey, "state", unreachable)
    found = exposed()
    assert found["socialapp_state_store_up",] == 0
    assert not [name for name, *_ in found if name.startswith("socialapp_cache_audit")]


def test_what_waits_is_told_by_partition(exposed, author, drain_all):
    accepted = submit(CreatePost("waits"), actor_id=author)
    partition = f"{partition_of(accepted.command_id):x}"
    found = exposed()
    assert found["socialapp_log_up",] == 1
    assert found["socialapp_log_waiting", partition] == 1
    assert 0 < found["socialapp_log_oldest_seconds", partition] < 60
    assert 0 < found["socialapp_log_memory_bytes",] < found["socialapp_log_memory_max_bytes",]
    drain_all()
    found = exposed()
    assert found["socialapp_log_waiting", partition] == 0
    assert found["socialapp_log_oldest_seconds", partition] == 0


def test_queues_and_their_workers_are_counted(exposed, clean_stores):
    valkey.state().zadd(keys.alive(liveness.queue_kind("events")), {"events-1": time.time() + 60})
    waking.wake_partition(3)
    found = exposed()
    assert (found["socialapp_queue_messages", "commands"], found["socialapp_queue_workers", "commands"]) == (1, 0)
    assert (found["socialapp_queue_messages", "events"], found["socialapp_queue_workers", "events"]) == (0, 1)


def test_what_waits_on_the_primary_is_told(exposed, author, drain_all):
    before = exposed()
    post = submit(CreatePost("host"), actor_id=author).resource_id
    submit(CreateComment(str(post), "x" * 2001), actor_id=author)
    drain_all()
    found = exposed()
    assert found["socialapp_primary_up",] == 1
    assert found["socialapp_dead_letters",] == before["socialapp_dead_letters",] + 1
    assert found["socialapp_inbox_commands",] == 0
    assert found["socialapp_consumer_unread_events", "post-counts", "0"] >= 1
    assert found["socialapp_consumer_parked_events", "cache"] == before["socialapp_consumer_parked_events", "cache"]


def test_without_the_log_or_the_primary_the_rest_is_still_told(exposed, monkeypatch):
    def unreachable(*arguments, **options):
        raise valkey.RedisError("down")

    def down():
        raise OperationalError("down")

    monkeypatch.setattr(valkey, "command_log", unreachable)
    monkeypatch.setattr(metrics.backlog, "in_inbox", down)
    found = exposed()
    assert (found["socialapp_log_up",], found["socialapp_primary_up",]) == (0, 0)
    assert found["socialapp_state_store_up",] == 1


@pytest.mark.parametrize("server", ["read-1", "write-1"])
def test_every_pool_serves_it_to_whoever_asks_by_address(stack, server):
    answer = Api(stack.socket(server)).get("/metrics", Host="10.1.2.3")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.headers["Content-Type"].startswith("text/plain")
    found = samples(answer.body)
    assert found["socialapp_state_store_up",] == 1
    assert ("socialapp_cache_audit_checked_total", CACHE) in found
    assert (("socialapp_log_up",) in found) == (server == "write-1"), "a read server may not look into the log"
