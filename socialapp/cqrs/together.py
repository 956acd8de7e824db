"""Calls from several threads that become one: what comes while one runs waits for its end, and then runs as one.

As databases commit in groups: alone nobody waits, and the busier a process is, the more of its threads share a run.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Seconds that a call waits for others; what is run has its own limits, and keeps within them.
PATIENCE = 5.0


@dataclass
class _Run:
    items: list = field(default_factory=list)
    outcome: Future = field(default_factory=Future)


class Together(Generic[Item, Result]):
    """Callable with one item. `run` gets the items of all calls that it serves, and what it returns is theirs.

    A run begins after all calls that it serves, so whatever a caller did before, its run comes after it. When one
    fails, each of its calls is run again by itself: an error is only ever one's own.

    after: gets the items once they have run, or failed; of their callers only one waits for it.
    apart: seconds from the end of a run to the next, in which more may join it.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Result],
        *,
        after: Callable[[list[Item]], None] | None = None,
        apart: float = 0.0,
    ):
        self._run = run
        self._after = after
        self._apart = apart
        self._earliest = 0.0
        self._running = Lock()
        self._joining = Lock()
        self._next: _Run | None = None

    def __call__(self, item: Item) -> Result:
        run, leads = self._join(item)
        try:
            if leads:
                self._lead(run)
            return run.outcome.result(PATIENCE)
        except Exception:
            if leads and len(run.items) == 1:
                raise
            return self._run([item])
        finally:
            # A thread that was ended before it could lead must not be waited for by whoever comes next.
            self._close(run)

    def _join(self, item: Item) -> tuple[_Run, bool]:
        """(the next run, whether the caller is its first and has to lead it)."""
        with self._joining:
            leads = self._next is None
            run = self._next = self._next or _Run()
            run.items.append(item)
            return run, leads

    def _lead(self, run: _Run) -> None:
        try:
            with self._running:
                self._run_all(run)
        finally:
            if self._after:
                self._after(run.items)

    def _run_all(self, run: _Run) -> None:
        if (pause := self._earliest - time.monotonic()) > 0:
            time.sleep(pause)
        self._close(run)
        try:
            run.outcome.set_result(self._run(run.items))
        except BaseException:
            run.outcome.cancel()
            raise
        finally:
            self._earliest = time.monotonic() + self._apart

    def _close(self, run: _Run) -> None:
        with self._joining:
            if self._next is run:
                self._next = None
