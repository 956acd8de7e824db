"""How the CPU time of a call grows with its input. Time that other processes take is not counted."""

import gc
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from django.core.exceptions import SuspiciousOperation, ValidationError
from rest_framework.exceptions import APIException

from socialapp.cqrs.problems import Problem
from socialapp.identity.signing import InvalidToken

# Seconds. Below it a ratio says more about the clock than about the code.
LEAST = 0.005
MOST_GROWTH = 2.3
SMALLEST = 512
REPEATS = 4
ATTEMPTS = 8
REFUSALS = (APIException, InvalidToken, Problem, SuspiciousOperation, ValidationError)


@dataclass(frozen=True)
class Case:
    """make(n): the worst input of about n characters. call(input): what reads it. largest: what is let in at all."""

    name: str
    make: Callable[[int], object]
    call: Callable[[object], object]
    largest: int

    def __str__(self):
        return self.name


def steepest(case: Case) -> tuple[float, int]:
    """(the largest ratio of the CPU at 2n to that at n, that n), over all n up to the largest input."""
    found = (0.0, 0)
    n, small = SMALLEST, cpu(case, SMALLEST)
    while 2 * n <= case.largest:
        large = cpu(case, 2 * n)
        if large >= LEAST:
            found = max(found, (_ratio(case, n, large / small), n))
            if found[0] > MOST_GROWTH:
                break
        n, small = 2 * n, large
    return found


def _ratio(case: Case, n: int, first: float) -> float:
    """The least ratio of several pairs of runs: a busy machine may spoil some pairs, a quadratic call spoils all."""
    ratio = first
    for _ in range(ATTEMPTS):
        if ratio <= MOST_GROWTH:
            break
        ratio = min(ratio, cpu(case, 2 * n) / cpu(case, n))
    return ratio


def cpu(case: Case, n: int) -> float:
    """Seconds of this thread, the least of several runs; of one when that is too short to be compared anyway."""
    given = case.make(n)
    gc.disable()
    try:
        least = _once(case, given)
        for _ in range(REPEATS if least >= LEAST / 3 else 0):
            least = min(least, _once(case, given))
    finally:
        gc.enable()
    return least


def _once(case: Case, given: object) -> float:
    began = time.thread_time()
    with suppress(*REFUSALS):
        case.call(given)
    return time.thread_time() - began
