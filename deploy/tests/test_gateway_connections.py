"""How many requests one address may have under way at the gateway."""

import threading

import pytest

from deploy.embedded import gateway
from deploy.tests.conftest import running_gateway
from deploy.tests.gate import problem
from deploy.tests.origin import Answer

MOST = 3


def crowd(gate, size: int) -> list:
    """The replies to so many requests that the origin answers only when all have been sent or refused."""
    replies, done = [], threading.Semaphore(0)
    open_door = threading.Event()

    def answer(request) -> Answer:
        open_door.wait(10)
        return Answer()

    def ask(number: int) -> None:
        replies.append(gate("POST", f"/api/v1/posts/{number}", b"{}"))
        done.release()

    gate.answer("write", answer)
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(size)]
    for thread in threads:
        thread.start()
    for _ in range(size - MOST):
        # Those that are refused; where none is, this ends after a moment.
        if not done.acquire(timeout=1):
            break
    open_door.set()
    for thread in threads:
        thread.join()
    return replies


@pytest.fixture
def limited(monkeypatch):
    monkeypatch.setattr(gateway, "CONNECTIONS_PER_ADDRESS", MOST)
    monkeypatch.setattr(gateway, "UNLIMITED_NETWORKS", ())
    with running_gateway() as running:
        running.answer("", Answer())
        yield running


@pytest.fixture
def unlimited(monkeypatch):
    monkeypatch.setattr(gateway, "CONNECTIONS_PER_ADDRESS", MOST)
    with running_gateway() as running:
        running.answer("", Answer())
        yield running


def test_an_address_has_so_many_requests_under_way(limited):
    replies = crowd(limited, MOST + 4)
    refused = [reply for reply in replies if reply.status == 429]
    assert len(refused) == 4
    assert problem(refused[0])["code"] == "throttled" and refused[0].headers["Retry-After"] == "1"
    # When they are done there is room again.
    limited.answer("", Answer())
    assert limited("POST", "/api/v1/posts", b"{}").status == 200


def test_load_tests_on_the_machine_itself_are_not_limited(unlimited):
    assert {reply.status for reply in crowd(unlimited, MOST + 4)} == {200}
