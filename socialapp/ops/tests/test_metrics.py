"""GET /metrics: what Prometheus reads, at each pool's own door."""

from collections import Counter

import pytest
from django.test import RequestFactory
from prometheus_client.parser import text_string_to_metric_families

from socialapp.cqrs import keys, valkey
from socialapp.cqrs.audit import BEHIND, CACHE, STALE, UNKNOWN, UNREACHABLE, within
from socialapp.ops import auditing, metrics
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
    assert not [name for name, *_ in found if name.endswith("_ratio")]


def test_without_the_state_store_it_still_answers(exposed, monkeypatch):
    def unreachable():
        raise valkey.RedisError("down")

    monkeypatch.setattr(valkey, "state", unreachable)
    assert exposed() == {("socialapp_state_store_up",): 0}


@pytest.mark.parametrize("server", ["read-1", "write-1"])
def test_every_pool_serves_it_to_whoever_asks_by_address(stack, server):
    answer = Api(stack.socket(server)).get("/metrics", Host="10.1.2.3")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    assert answer.headers["Content-Type"].startswith("text/plain")
    found = samples(answer.body)
    assert found["socialapp_state_store_up",] == 1
    assert ("socialapp_cache_audit_checked_total", CACHE) in found
