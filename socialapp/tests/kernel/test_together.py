"""Calls that come while one runs share the next run."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from socialapp.cqrs.together import Together

SECONDS = 5


class Held:
    """Sums what it is given; each run waits until it is let go."""

    def __init__(self):
        self.runs: list[list[int]] = []
        self.began, self.let_go = Event(), Event()

    def __call__(self, items: list[int]) -> int:
        self.runs.append(sorted(items))
        self.began.set()
        assert self.let_go.wait(SECONDS)
        return sum(items)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def joined(together: Together) -> int:
    return len(together._next.items) if together._next else 0


def wait_until(condition) -> None:
    waited = Event()
    for _ in range(1000):
        if condition():
            return
        waited.wait(SECONDS / 1000)
    raise AssertionError("it never came to that")


def test_alone_nobody_waits():
    together = Together(sum)
    assert [together(3), together(4)] == [3, 4]


def test_what_comes_while_one_runs_runs_as_one(threads):
    held = Held()
    together = Together(held)
    first = threads.submit(together, 1)
    assert held.began.wait(SECONDS)
    others = [threads.submit(together, number) for number in (2, 3, 4)]
    wait_until(lambda: joined(together) == 3)
    assert held.runs == [[1]], "a run that has begun takes nobody in: it may have looked already"
    held.let_go.set()
    assert first.result(SECONDS) == 1
    assert [other.result(SECONDS) for other in others] == [9, 9, 9]
    assert held.runs == [[1], [2, 3, 4]]


class Ended(BaseException):
    """As a thread is ended: nothing that handles errors handles this."""


@pytest.mark.parametrize("error", [ValueError, Ended])
def test_whatever_a_run_dies_of_each_of_its_calls_is_run_by_itself(threads, error):
    held = Held()

    def fail_for_many(items: list[int]) -> int:
        if len(items) > 1:
            held(items)
            raise error
        return held(items)

    together = Together(fail_for_many)
    first = threads.submit(together, 1)
    assert held.began.wait(SECONDS)
    others = [threads.submit(together, 2)]
    wait_until(lambda: joined(together) == 1)
    others += [threads.submit(together, number) for number in (3, 4)]
    wait_until(lambda: joined(together) == 3)
    held.let_go.set()
    assert first.result(SECONDS) == 1
    if error is Ended:
        with pytest.raises(Ended):
            others.pop(0).result(SECONDS)
    assert [other.result(SECONDS) for other in others] == [2, 3, 4][-len(others) :]
    assert together(5) == 5


@pytest.mark.parametrize("error", [None, ValueError])
def test_only_one_waits_for_what_comes_after_a_run(threads, error):
    held, afterwards = Held(), []
    follows = Event()

    def run(items: list[int]) -> int:
        total = held(items)
        if error and len(items) > 1:
            raise error
        return total

    def after(items: list[int]) -> None:
        afterwards.append(sorted(items))
        assert len(items) == 1 or follows.wait(SECONDS)

    together = Together(run, after=after)
    first = threads.submit(together, 1)
    assert held.began.wait(SECONDS)
    leader = threads.submit(together, 2)
    wait_until(lambda: joined(together) == 1)
    other = threads.submit(together, 3)
    wait_until(lambda: joined(together) == 2)
    held.let_go.set()
    assert (first.result(SECONDS), other.result(SECONDS)) == (1, 3 if error else 5)
    assert together(4) == 4, "the next run does not wait either"
    assert not leader.done()
    follows.set()
    assert leader.result(SECONDS) == (2 if error else 5)
    assert sorted(afterwards) == [[1], [2, 3], [4]]


def test_runs_are_so_far_apart_that_others_may_join(monkeypatch):
    paused = []
    monkeypatch.setattr("socialapp.cqrs.together.time.sleep", paused.append)
    together = Together(sum, apart=60)
    assert together(1) == 1 and not paused, "who comes alone does not wait"
    assert together(2) == 2 and 50 < paused[0] <= 60


def test_an_error_of_ones_own_is_raised():
    together = Together(lambda items: 1 / items[0])
    with pytest.raises(ZeroDivisionError):
        together(0)
    assert together(1) == 1


def test_nobody_waits_for_long_for_who_was_ended_before_it_could_lead(threads, monkeypatch):
    monkeypatch.setattr("socialapp.cqrs.together.PATIENCE", 0.1)
    together = Together(sum)
    run, leads = together._join(1)
    assert leads and threads.submit(together, 2).result(SECONDS) == 2
    assert joined(together) == 0 and together(3) == 3 and run.items == [1, 2]
