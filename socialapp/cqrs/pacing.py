"""Rests between small pieces of work, so that under load each piece is a larger one.

A drain costs some ten milliseconds of processor time, whether it applies one command or fifty. Workers that start one
for each command as it comes take the machine from the servers that accept them. A process that has caught up
therefore rests, in proportion to how long it took: without load other processes are free meanwhile and nobody waits;
under load everything takes longer, so do the rests, and batches grow.
"""

import time
from collections.abc import Callable
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


# Somebody may wait to see a command's effect.
DRAINS = Pace(factor=2, longest=0.1)
# Consumers write what nobody waits for.
CONSUMERS = Pace(factor=10, longest=0.25)
