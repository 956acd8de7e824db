"""GET /health/ready of a read server: each replica's place, whether it is used, and why not."""

import json
from datetime import UTC, datetime

import orjson
import pytest
from django.test import RequestFactory

from socialapp.cqrs import heartbeat, routing, servers, valkey
from socialapp.ops import health
from socialapp.tests.topology.conftest import wait_for


def entry(name: str = "replica1") -> dict:
    return json.loads(health.ready(RequestFactory().get("/health/ready")).content)["dependencies"][name]


def test_a_replica_that_is_used(reading):
    timeline, position = routing.position("replica1")
    found = entry()
    assert (found["status"], found["used"], found["timeline"]) == ("up", True, timeline)
    assert found["position"] >= position > 0 and 0 <= found["lag_seconds"] < 10 and "why" not in found
    assert entry("primary") == {"status": "up", "used": True}


def test_a_lagging_one(reading, paused_replica, writing, settings):
    settings.REPLICA_MAX_LAG = 0.0
    with paused_replica():
        with writing():
            heartbeat.beat()
        heartbeat._looked_at = 0.0
        found = entry()
    assert (found["used"], found["why"]) == (False, "lagging") and found["lag_seconds"] > 0


@pytest.mark.parametrize("why", [servers.CANCELLED, servers.UNREACHABLE])
def test_an_ejected_one(reading, why):
    servers.eject("replica1", why)
    found = entry()
    assert (found["status"], found["used"], found["why"]) == ("up", False, why)


def test_one_that_a_failover_left_behind(reading):
    valkey.state().set(heartbeat._KEY, orjson.dumps([99, datetime.now(UTC)]))
    found = entry()
    assert (found["status"], found["used"], found["why"]) == ("degraded", False, "older timeline")


def test_a_dead_one_says_nothing_of_where_it_is(reading, another_server):
    another_server("replica2", "/nowhere")
    found = entry("replica2")
    assert found == {"status": "down", "error": "OperationalError", "used": False, "why": "unreachable"}


def test_a_health_check_has_an_ejected_one_probed(reading, monkeypatch):
    """Where no read needs a database, nobody else would find out that it is back."""
    monkeypatch.setattr(servers, "EJECTION", (0.0, 0.0))
    servers.eject("replica1", servers.UNREACHABLE)
    wait_for(lambda: entry()["used"])
