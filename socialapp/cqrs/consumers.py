"""Event consumers: each reads the event table in order, at its own pace, and remembers how far it has come.

Domains declare them in `consumers.py`. One whose effect is in Postgres moves its offset in the same transaction;
one with effects elsewhere is idempotent and runs under a lease, outside any transaction.
"""

import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from socialapp.cqrs import events, parking
from socialapp.cqrs.events import Recorded
from socialapp.cqrs.failures import is_infrastructure
from socialapp.cqrs.models import ConsumerOffset

BATCH = 500
LONGEST_RUN = 1.0
# Instead of the size of a batch: another worker has the lane.
TAKEN = -1
LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Consumer:
    """consume(events) takes a batch in order. One that has to stop early, after at least one of them, returns after
    how many. outside: whether its effects are outside of Postgres.

    lanes: how many of it may run at once; the events of one aggregate are in one lane, and in order there.
    rebuild: the class of its read model, if that can be made again from events (replays.py).
    queue: of Celery; one that waits for servers which are not of the house must not keep the others waiting.
    retry_after: what it has parked is tried again so much later, without anybody who asks for it.
    aggregate: the kind of which it reads events; "" is all. Others neither wake it nor are they read for it.
    """

    name: str
    consume: Callable[[list[Recorded]], int | None]
    outside: bool
    lanes: int = 1
    rebuild: type | None = None
    queue: str = "events"
    retry_after: timedelta | None = None
    aggregate: str = ""


_consumers: dict[str, Consumer] = {}

# Only events of transactions that no running one precedes (events.horizon): else a slow transaction's events,
# written with lower numbers but committed later, would be skipped.
UNREAD = "xid < %s::text::xid8 AND (xid, position) > (%s::text::xid8, %s)"


def consumer(name: str, *, outside: bool = False, **options):
    """Declare consume(events: list[Recorded]) under a name, by which offsets are remembered. options: see Consumer."""

    def declare(consume: Callable) -> Callable:
        if name in _consumers:
            raise RuntimeError(f"consumer {name} is declared twice")
        _consumers[name] = Consumer(name, consume, outside, **options)
        return consume

    return declare


def declared() -> dict[str, Consumer]:
    return dict(_consumers)


def all_lanes(aggregates: Set[str] | None = None) -> list[tuple[str, int]]:
    """(name, lane) of everything that can be woken; by events about these kinds of aggregates, if any are given."""
    return [
        (name, lane)
        for name, running in _consumers.items()
        if aggregates is None or not running.aggregate or running.aggregate in aggregates
        for lane in range(running.lanes)
    ]


def run(name: str, lane: int = 0) -> bool:
    """Consume what is unread in a lane; True when there is more, or another worker runs the lane: come back then.

    A worker that finds the lane taken must come back, because the other one may have looked for the last time.

    Offsets may be divided among more or fewer lanes than are declared here, see lanes.py: whoever is woken for a
    lane also runs those that nobody is woken for.
    """
    running = _consumers[name]
    create_offsets(running)
    divided = ConsumerOffset.objects.using("default").filter(consumer=name).order_by("lane")
    mine = [offset.pk for offset in divided if offset.lane % running.lanes == lane]
    deadline = time.monotonic() + LONGEST_RUN
    return any([_run_lane(running, pk, deadline) for pk in mine])


def create_offsets(running: Consumer) -> None:
    """All lanes of a consumer that has none yet; a new consumer reads from the beginning."""
    if ConsumerOffset.objects.using("default").filter(consumer=running.name).exists():
        return
    lanes = range(running.lanes)
    rows = [ConsumerOffset(consumer=running.name, lane=lane, lanes=running.lanes) for lane in lanes]
    ConsumerOffset.objects.bulk_create(rows, ignore_conflicts=True)


def _run_lane(running: Consumer, pk: int, deadline: float) -> bool:
    step = _step_outside if running.outside else _step
    while (size := step(running, pk)) == BATCH:
        if time.monotonic() > deadline:
            return True
    return size == TAKEN


def _step(running: Consumer, pk: int) -> int:
    """One batch whose effect and offset commit together; returns its size, or TAKEN."""
    with transaction.atomic(durable=True):
        held = ConsumerOffset.objects.select_for_update(no_key=True, skip_locked=True).filter(pk=pk).first()
        if held is None:
            return TAKEN
        size, cursor = _consume_next(running, held, guard=transaction.atomic)
        _move(_offset(pk), cursor)
    return size


def _step_outside(running: Consumer, pk: int) -> int:
    """One batch under the lease; returns its size, or TAKEN. A crash before the offset moves repeats it."""
    with leased(pk) as mine:
        held = mine.first()
        if held is None:
            return TAKEN
        size, cursor = _consume_next(running, held, guard=nullcontext)
        _move(mine, cursor)
    return size


def _consume_next(running: Consumer, held: ConsumerOffset, *, guard: Callable) -> tuple[int, tuple[int, int]]:
    """The size of the batch, BATCH also when the consumer stopped before its end; and where the cursor is then."""
    parking.retry(running, held, guard=guard)
    batch, cursor = unread(running, held)
    done = digest(running, batch, guard=guard)
    return (len(batch), cursor) if done == len(batch) else (BATCH, end_of(batch[:done], held))


@contextmanager
def leased(pk: int) -> Iterator[QuerySet]:
    """The offset as long as it is ours: no row when somebody else has the lease, or has taken it meanwhile."""
    owner = uuid4()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=Now())
    _offset(pk).filter(free).update(lease_owner=owner, lease_until=Now() + LEASE)
    mine = _offset(pk).filter(lease_owner=owner)
    try:
        yield mine
    finally:
        mine.update(lease_owner=None, lease_until=None)


def _offset(pk: int) -> QuerySet:
    return ConsumerOffset.objects.using("default").filter(pk=pk)


def unread(running: Consumer, held: ConsumerOffset, *, limit: int = BATCH) -> tuple[list[Recorded], tuple[int, int]]:
    """The next batch of a lane, and where its cursor (xid, position) is after that."""
    below = str(events.horizon())
    where, parameters = UNREAD, [below, str(held.xid), held.position]
    mine, named = share_of(running, held)
    if not mine:
        batch = events.read(where, parameters, limit=limit)
        return batch, end_of(batch, held)
    batch, complete = events.read_page(f"{where}{mine}", [*parameters, *named], limit=limit)
    # Past the others' events too, or each look would read them again.
    last = events.last_cursor(where, parameters) if complete else None
    return batch, last or end_of(batch, held)


def share_of(running: Consumer | None, held: ConsumerOffset) -> tuple[str, list]:
    """What narrows events down to those of a lane: further conditions in SQL, and their parameters."""
    narrowed, named = "", []
    if held.lanes > 1:
        narrowed, named = f" AND {events.IN_LANE}", [held.lanes, held.lane]
    if running and running.aggregate:
        narrowed, named = f"{narrowed} AND aggregate = %s", [*named, running.aggregate]
    return narrowed, named


def end_of(batch: list[Recorded], held: ConsumerOffset) -> tuple[int, int]:
    return (batch[-1].xid, batch[-1].position) if batch else (held.xid, held.position)


def _move(offset: QuerySet, cursor: tuple[int, int]) -> None:
    xid, position = cursor
    offset.exclude(xid=xid, position=position).update(xid=xid, position=position, updated_at=Now())


def digest(running: Consumer, batch: list[Recorded], *, guard: Callable) -> int:
    """Consume a batch; when that fails, event by event, so that only the indigestible one is parked. Returns after how
    many events the consumer stopped."""
    if not batch:
        return 0
    try:
        with guard():
            done = running.consume(batch)
            return len(batch) if done is None else done
    except Exception as error:
        if is_infrastructure(error):
            raise
        for recorded in batch:
            parking.consume_or_park(running, recorded, guard)
    return len(batch)
