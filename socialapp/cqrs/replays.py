"""Replays: a consumer's read model is made again beside the live one, compared with it, and takes its place.

Not every row has events: demo data have none, and a retention drops the old ones. So a rebuild begins with a
baseline: what the rows say that no replayed event tells of.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Protocol

from django.db import connections, transaction

from socialapp.cqrs import consumers, events, servers
from socialapp.cqrs.consumers import Consumer, leased
from socialapp.cqrs.events import Recorded
from socialapp.cqrs.models import ConsumerOffset, ParkedEvent

BATCH = 5000
# No transaction runs that long; what began before the date must be seen by the baseline.
LONGEST_TRANSACTION = timedelta(minutes=10)
BETWEEN = "type = ANY(%s) AND recorded_at >= %s AND (xid, position) > (%s::text::xid8, %s)"
UP_TO = "(xid, position) <= (%s::text::xid8, %s)"

Cursor = tuple[int, int]
# key -> (live, rebuilt), for what differs.
Difference = dict[str, tuple[object, object]]


class CannotReplay(Exception):
    """There is nothing to rebuild, or not just now."""


class Rebuild(Protocol):
    """A read model beside the live one; a consumer declares its class as `rebuild=`.

    folds: the classes of the events that it wants. begin(since): make the baseline, of which the events recorded since
    then are no part. fold(batch): add events, in order. difference() compares with the live one. swap(difference) makes
    the live one equal, while its consumer is held.
    """

    folds: tuple[type, ...]

    def begin(self, since: datetime) -> None: ...
    def fold(self, batch: list[Recorded]) -> None: ...
    def difference(self) -> Difference: ...
    def swap(self, difference: Difference) -> None: ...


class Replay:
    """One run. progress(n) is told of n more events that were folded."""

    def __init__(self, name: str, since: datetime, progress: Callable[[int], object] = lambda n: None):
        self.running: Consumer = consumers.declared()[name]
        if self.running.rebuild is None:
            raise CannotReplay(f"{name} declares no read model to rebuild")
        self.since, self.progress = since, progress
        self.rebuilt: Rebuild = self.running.rebuild()
        self.done: Cursor = (0, 0)
        self._require_settled()

    def total(self) -> int:
        """How many events there are to fold, about."""
        with connections["default"].cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM cqrs_event WHERE {BETWEEN}", self._after_done())
            return cursor.fetchone()[0]

    def dry_run(self) -> Difference:
        """What a replay would change; the live consumer goes on meanwhile."""
        self._fold_most()
        with transaction.atomic(durable=True), connections["default"].cursor() as cursor:
            # One snapshot of offsets, events and the live read model, as they belong together.
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            self._fold_rest(list(self._offsets()))
            return self.rebuilt.difference()

    def run(self) -> Difference:
        """Rebuild, swap, and say what was changed. The consumer waits only while the last events are folded."""
        self._fold_most()
        with held(self.running) as offsets:
            self._fold_rest(offsets)
            difference = self.rebuilt.difference()
            self.rebuilt.swap(difference)
            # The rebuilt one contains them: another try would count them twice.
            ParkedEvent.objects.filter(consumer=self.running.name).delete()
        return difference

    def _require_settled(self) -> None:
        """The baseline contains all that was recorded before the date, so the live one must have read that."""
        if self.since > servers.primary_time() - LONGEST_TRANSACTION:
            raise CannotReplay(f"the date must be {LONGEST_TRANSACTION} ago: older transactions may still be running")
        unread = f"type = ANY(%s) AND recorded_at < %s AND (xid, position) > (%s::text::xid8, %s) AND {events.IN_LANE}"
        for offset in self._offsets():
            place = [str(offset.xid), offset.position, offset.lanes, offset.lane]
            if events.last_cursor(unread, [self._names(), self.since, *place]):
                raise CannotReplay(f"{offset} has yet to read events from before the date; take an earlier one")

    def _offsets(self):
        return ConsumerOffset.objects.using("default").filter(consumer=self.running.name).order_by("lane")

    def _after_done(self) -> list:
        return [self._names(), self.since, str(self.done[0]), self.done[1]]

    def _names(self) -> list[str]:
        return [folded.__name__ for folded in self.rebuilt.folds]

    def _fold_most(self) -> None:
        """The baseline, and what all lanes have read; again, until little is left."""
        self.rebuilt.begin(self.since)
        folded = BATCH
        while folded >= BATCH:
            cursors = [(offset.xid, offset.position) for offset in self._offsets()]
            folded = sum(map(self._fold, self._pages(min(cursors)))) if cursors else 0

    def _fold_rest(self, offsets: list[ConsumerOffset]) -> None:
        """Up to where the live read model is: each lane's events up to its own offset."""
        cursors = {offset.lane: (offset.xid, offset.position) for offset in offsets}
        for page in self._pages(max(cursors.values(), default=(0, 0))):
            lanes = [r.aggregate_id.bytes[15] % len(offsets) for r in page]
            self._fold([r for r, lane in zip(page, lanes, strict=True) if (r.xid, r.position) <= cursors[lane]])

    def _fold(self, batch: list[Recorded]) -> int:
        self.rebuilt.fold(batch)
        self.progress(len(batch))
        return len(batch)

    def _pages(self, target: Cursor) -> Iterator[list[Recorded]]:
        complete = False
        while not complete:
            parameters = [*self._after_done(), str(target[0]), target[1]]
            page, complete = events.read_page(f"{BETWEEN} AND {UP_TO}", parameters, limit=BATCH)
            if not page and not complete:
                raise CannotReplay("the next event is of a version that this process does not know")
            yield page
            self.done = (page[-1].xid, page[-1].position) if page else self.done


@contextmanager
def held(running: Consumer) -> Iterator[list[ConsumerOffset]]:
    """The consumer's offsets, which cannot move meanwhile. Raises CannotReplay when somebody else has a lease."""
    mine = ConsumerOffset.objects.using("default").filter(consumer=running.name).order_by("lane")
    if not running.outside:
        with transaction.atomic(durable=True):
            yield list(mine.select_for_update(no_key=True))
        return
    with ExitStack() as leases:
        offsets = [leases.enter_context(leased(offset.pk)).first() for offset in mine]
        if None in offsets:
            raise CannotReplay(f"{running.name} runs just now; try again")
        yield offsets
