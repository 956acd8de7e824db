"""What fails after a write was accepted or committed does not turn its answer into an error."""

import threading

import pytest
from django.db import OperationalError, connections
from rest_framework.test import APIClient

from orders.models import Address
from posts.models import Post
from socialapp.accounts.models import User
from socialapp.cqrs import claims, outcomes, valkey, waking
from socialapp.cqrs.fragments import Entities
from socialapp.cqrs.problems import Unavailable

ADDRESS = {"name": "A", "line1": "1 Road", "city": "B", "postcode": "12345", "country": "DE"}
FAULTS = {
    "a database": OperationalError("gone"),
    "a Valkey": valkey.RedisError("down"),
    "no server left": Unavailable("none"),
}
READS = {"the outcome": (outcomes, "wait"), "the resource": (Entities, "get")}


@pytest.fixture
def client(author) -> APIClient:
    """Signed in as `author`, without a server in between."""
    client = APIClient(HTTP_HOST="localhost", raise_request_exception=False)
    client.force_authenticate(User.objects.get(pk=author))
    return client


@pytest.fixture
def draining(drain_all):
    """Apply what is accepted, as a worker does, while a request waits."""
    stop = threading.Event()

    def drain():
        while not stop.wait(0.01):
            drain_all()
        connections.close_all()

    worker = threading.Thread(target=drain)
    worker.start()
    yield
    stop.set()
    worker.join()


def failing(error: Exception):
    def fail(*_, **__):
        raise error

    return fail


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("read", READS)
def test_an_applied_command_whose_result_cannot_be_read_is_accepted(client, draining, monkeypatch, fault, read):
    monkeypatch.setattr(*READS[read], failing(FAULTS[fault]))
    answer = client.post("/api/v1/posts", {"text": "accepted"}, format="json", HTTP_PREFER="wait=5")
    assert answer.status_code == 202, answer.content
    assert answer.json()["command"]["status"] == "accepted" and answer["Consistency-Token"]


@pytest.mark.parametrize("step", [(claims, "mark"), (waking, "wake_partition")])
def test_an_accepted_command_is_accepted_whatever_fails_after_it(client, drain_all, author, monkeypatch, step):
    monkeypatch.setattr(*step, failing(RuntimeError("a fault that nobody expects")))
    answer = client.post("/api/v1/posts", {"text": "a"}, format="json", HTTP_IDEMPOTENCY_KEY="k")
    assert answer.status_code == 202, answer.content
    monkeypatch.undo()
    drain_all()
    assert Post.objects.filter(author=author).count() == 1


def test_an_address_is_answered_without_another_read(client, author, monkeypatch):
    monkeypatch.setattr("orders.api.read.read_with", failing(OperationalError("gone")))
    added = client.post("/api/v1/addresses", ADDRESS, format="json")
    assert added.status_code == 201, added.content
    path = f"/api/v1/addresses/{added.json()['id']}"
    changed = client.patch(path, {"city": "C"}, format="json")
    assert (changed.status_code, changed.json()) == (200, added.json() | {"city": "C"})
    monkeypatch.undo()
    assert client.get(path).json() == changed.json()
    assert Address.objects.get(user_id=author).city == "C"
