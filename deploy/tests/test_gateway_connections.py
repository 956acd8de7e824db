"""How many requests one address may have under way at the gateway, and how often one may sign in."""

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


@pytest.fixture
def from_anywhere(monkeypatch):
    """A gateway that believes X-Test-Address."""
    values = gateway.values

    def believing(*arguments, **options):
        found = values(*arguments, **options)
        found["LISTEN"] += "; set_real_ip_from 127.0.0.1; real_ip_header X-Test-Address"
        return found

    monkeypatch.setattr(gateway, "values", believing)
    with running_gateway() as running:
        running.answer("", Answer())
        yield running


# More than the burst that the gateway allows.
MANY = 150


def sign_ins(gate, addresses: list[str]) -> list[int]:
    path = "/api/v1/auth/token"
    return [gate("POST", path, b"{}", x_test_address=address).status for address in addresses]


@pytest.mark.parametrize("addresses", ["2001:db8:1:22{:02x}::1", "2001:db8:1:2200::{:x}"])
def test_a_customer_with_many_ipv6_addresses_is_one(from_anywhere, addresses):
    assert 429 in sign_ins(from_anywhere, [addresses.format(number) for number in range(MANY)])


@pytest.mark.parametrize("addresses", ["2001:db8:1:{:x}00::1", "::ffff:192.0.2.{}", "192.0.2.{}"])
def test_customers_do_not_count_for_one_another(from_anywhere, addresses):
    assert set(sign_ins(from_anywhere, [addresses.format(number) for number in range(MANY)])) == {200}
