"""One flight per slot and process: while a request fetches what the cache lacks, its neighbours wait for it to land.

Leases let one reader of all processes fill; this keeps the others of a process from asking the cache over and over.
What the first one read is not handed on: it may be older than an invalidation that those who wait came after. They
look into the cache again.
"""

from collections.abc import Iterable
from threading import Event, Lock

from socialapp.cqrs.keys import Slot


class Flights:
    def __init__(self):
        self._lock = Lock()
        self._landings: dict[Slot, Event] = {}

    def board(self, slots: Iterable[Slot]) -> tuple[list[Slot], dict[Slot, Event]]:
        """(those that nobody fetches yet and that the caller must `land`, the others with their landings)."""
        boarded, aloft = [], {}
        with self._lock:
            for slot in dict.fromkeys(slots):
                if slot in self._landings:
                    aloft[slot] = self._landings[slot]
                else:
                    self._landings[slot] = Event()
                    boarded.append(slot)
        return boarded, aloft

    def land(self, boarded: Iterable[Slot]) -> None:
        with self._lock:
            landings = [self._landings.pop(slot) for slot in boarded]
        for landing in landings:
            landing.set()
