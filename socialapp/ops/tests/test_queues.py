"""The broker's queues in /health/ready: one without a worker, or with too many messages, is a degraded state."""

import json
import time

import pytest
from django.test import RequestFactory

from socialapp.cqrs import broker, keys, valkey, waking
from socialapp.ops import health, liveness, queues
from socialapp.tests.valkeys import wait_until


@pytest.fixture
def workers(clean_stores):
    """`workers(*queues)`: each of these queues has a worker from now on."""

    def start(*names: str) -> None:
        for name in names:
            valkey.state().zadd(keys.alive(liveness.queue_kind(name)), {f"{name}-1": time.time() + 60})

    return start


def readiness() -> dict:
    return json.loads(health.ready(RequestFactory().get("/health/ready")).content)


def test_a_queue_without_a_worker_is_named(workers):
    workers("commands", "outside")
    found = readiness()
    assert found["dependencies"]["queue_commands"] == {"status": "up", "workers": 1, "messages": 0}
    assert found["dependencies"]["queue_events"]["status"] == "down"
    assert "-Q events" in found["dependencies"]["queue_events"]["error"]
    assert found["status"] == "degraded"


def test_a_queue_that_grows_is_named(workers, monkeypatch):
    monkeypatch.setattr(queues, "LONG", 2)
    workers(*broker.declared_queues())
    for partition in range(2):
        waking.wake_partition(partition)
    found = readiness()["dependencies"]
    assert (found["queue_commands"]["status"], found["queue_commands"]["messages"]) == ("down", 2)
    assert found["queue_events"]["status"] == "up"


def test_a_read_server_names_workers_without_asking_the_broker(workers, monkeypatch):
    monkeypatch.setattr("socialapp.cqrs.roles.may_write", lambda: False)
    monkeypatch.setattr(broker, "length", None)
    workers("commands")
    assert health._queue("commands") == {"workers": 1}


def test_workers_of_the_stack_say_which_queues_they_serve(stack, api):
    """On a busy machine a worker may be late with a sign of life."""

    def served() -> dict[str, int]:
        found = api.get("/health/ready").json()["dependencies"]
        return {name: found[f"queue_{name}"]["workers"] for name in broker.declared_queues()}

    wait_until(lambda: served() == {"commands": 2, "events": 1, "outside": 1})
