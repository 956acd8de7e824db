"""The breaker: after a failure nobody asks for a while, then one caller probes."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from socialapp.cqrs import breaker as breakers
from socialapp.cqrs.breaker import Breaker, Open
from socialapp.cqrs.valkey import RedisError


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(breakers.time, "monotonic", lambda: now[0])
    return now


def failing(breaker: Breaker) -> None:
    with pytest.raises(RedisError), breaker:
        raise RedisError("down")


def test_it_opens_at_a_failure_and_lets_one_caller_probe(clock):
    breaker = Breaker(open_for=(1.0, 1.0), probe=0.1)
    failing(breaker)
    with pytest.raises(Open), breaker:
        pytest.fail("asked again at once")
    clock[0] += 1.0
    with breaker, pytest.raises(Open), breaker:
        pytest.fail("two callers probe")
    assert not breaker.is_open
    with breaker:
        pass


def test_a_probe_that_fails_keeps_it_open(clock):
    breaker = Breaker(open_for=(1.0, 1.0), probe=0.1)
    failing(breaker)
    clock[0] += 1.0
    failing(breaker)
    with pytest.raises(Open), breaker:
        pytest.fail("asked again at once")


def test_it_does_not_trip_on_what_is_not_the_servers_fault(clock):
    breaker = Breaker(open_for=(1.0, 1.0), probe=0.1)
    with pytest.raises(ValueError), breaker:
        raise ValueError("ours")
    assert not breaker.is_open


def test_of_many_threads_one_probes(clock):
    breaker = Breaker(open_for=(1.0, 1.0), probe=10.0)
    breaker.trip()
    clock[0] += 1.0
    start = Barrier(8)

    def ask(_) -> bool:
        start.wait()
        return breaker.admits()

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(ask, range(8))) == 1
    breaker.close()
    assert breaker.admits() and not breaker.is_open
