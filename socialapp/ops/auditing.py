"""Audits of the read cache as runs and in numbers. Used by the command, the beat task and the metrics."""

import time
from collections import Counter
from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import accumulate

from socialapp.cqrs import audit, keys, valkey
from socialapp.cqrs.audit import CACHE, Subject, Violation
from socialapp.cqrs.keys import Slot

# How many subjects ended how, by (place, outcome): what `audit.look` tells.
Counts = Counter[tuple[str, str]]


class Auditor:
    """One run in this process: it waits out the graces itself."""

    def __init__(self, rate: float):
        """rate: first looks per second, at most."""
        self.counts: Counts = Counter()
        self.violations: dict[Slot, Violation] = {}
        self._pause = 1 / rate
        self._told: Counts = Counter()
        # (when the next look is due, when the first one was, what it is for), the earliest first.
        self._agenda: list[tuple[float, float, Subject]] = []

    @property
    def waiting(self) -> int:
        """Subjects that have not agreed so far."""
        return len(self._agenda)

    def look_at(self, slots: Iterable[Slot]) -> None:
        """A first look at each, and another one at those of earlier that are due. Raises as `audit.look` does."""
        due = time.monotonic()
        for slot in slots:
            time.sleep(max(0.0, due - time.monotonic()))
            due += self._pause
            self._look(audit.subject(*slot), time.monotonic())
            self._look_again()
        self._look_again()

    def news(self) -> Counts:
        """What was counted since this was last asked."""
        news, self._told = self.counts - self._told, self.counts.copy()
        return news

    def finish(self) -> None:
        """Look again until every subject is done with."""
        while self._agenda:
            time.sleep(max(0.0, self._agenda[0][0] - time.monotonic()))
            self._look_again()

    def _look_again(self) -> None:
        while self._agenda and self._agenda[0][0] <= time.monotonic():
            _, started, subject = heappop(self._agenda)
            self._look(subject, started)

    def _look(self, subject: Subject, started: float) -> None:
        found = audit.look(subject)
        self.counts.update(found.outcomes.items())
        if found.violation:
            self.violations.setdefault(found.violation.slot, found.violation)
        if found.again:
            heappush(self._agenda, (started + audit.GRACES[found.again.looks], started, found.again))


def add(counts: Counts) -> None:
    """Add to the totals of all audits. Raises valkey.UNREACHABLE."""
    pipeline = valkey.state().pipeline(transaction=False)
    for (place, outcome), number in counts.items():
        pipeline.hincrby(keys.audit("counts"), f"{place}:{outcome}", number)
    pipeline.execute()


def totals() -> Counts:
    """Of all audits since the state store began. Raises valkey.UNREACHABLE."""
    stored = valkey.state().hgetall(keys.audit("counts"))
    return Counter({tuple(name.decode().split(":")): int(number) for name, number in stored.items()})


def places(counts: Counts) -> list[str]:
    """The cache, then the replicas."""
    return sorted({CACHE} | {place for place, _ in counts}, key=lambda place: (place != CACHE, place))


def agreeing(counts: Counts, place: str) -> dict[float, int]:
    """How many agreed with the primary within each grace."""
    numbers = accumulate(counts[place, audit.within(grace)] for grace in audit.GRACES)
    return dict(zip(audit.GRACES, numbers, strict=True))


def compared(counts: Counts, place: str) -> int:
    """How many could be compared with the primary."""
    apart = (audit.UNKNOWN, audit.UNREACHABLE)
    return sum(number for (at, outcome), number in counts.items() if at == place and outcome not in apart)
