"""Rests between small pieces of work, so that under load each piece is a larger one.

A drain costs some ten milliseconds of processor time, whether it applies one command or fifty. Workers that start one
for each command as it comes take the machine from the servers that accept them. A process that has caught up
therefore rests, in proportion to how long it took: without load other processes are free meanwhile and nobody waits;
under load everything takes longer, so do the rests, and batches grow.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """factor: seconds of rest for each of work. longest: seconds."""

    factor: float
    longest: float

    def keep(self, work: Callable[[], bool]) -> bool:
        """Do work() that says whether more is waiting; if not, rest."""
        began = time.monotonic()
        more = work()
        if not more:
            time.sleep(min(self.longest, self.factor * (time.monotonic() - began)))
        return more


class LanePace:
    """A pause between two runs of the same lane in this process; other lanes run meanwhile.

    factor: seconds of pause for each second of work. longest: seconds.
    """

    def __init__(self, *, factor: float, longest: float):
        self._factor = factor
        self._longest = longest
        # By lane, on the monotonic clock; there are as many as there are lanes.
        self._earliest: dict[Hashable, float] = {}

    def pause_before(self, lane: Hashable) -> float:
        """Seconds until the lane may run again, at least 0."""
        return max(0.0, self._earliest.get(lane, 0.0) - time.monotonic())

    def run(self, lane: Hashable, work: Callable[[], bool]) -> bool:
        """Do work() and return what it says: whether more is waiting. If not, the lane pauses."""
        began = time.monotonic()
        more = work()
        ended = time.monotonic()
        self._earliest[lane] = 0.0 if more else ended + min(self._longest, self._factor * (ended - began))
        return more


# Somebody may wait to see a command's effect.
DRAINS = Pace(factor=2, longest=0.1)
# Twice the factor of a pause that keeps the whole process: a worker of events has two processes and at least two lanes
# that are always busy under load, and they may take a fifth of a core, not more.
CONSUMERS = LanePace(factor=20, longest=0.25)
