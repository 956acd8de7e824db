"""Limits on how many requests of one process do something expensive at a time, so that the cheap ones go on."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from socialapp.cqrs.problems import Unavailable

# Seconds that a request waits for another one to end.
PATIENCE = 0.5


class Overloaded(Unavailable):
    code, title = "overloaded", "Too many requests of this kind are under way"


class Limit:
    """what: names the requests in the refusal, in the plural."""

    def __init__(self, most: int, what: str):
        self._free = BoundedSemaphore(most)
        self._what = what

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raises Overloaded after PATIENCE."""
        if not self._free.acquire(timeout=PATIENCE):
            raise Overloaded(f"Too many {self._what} are under way on this server. Send it again in a second.")
        try:
            yield
        finally:
            self._free.release()
