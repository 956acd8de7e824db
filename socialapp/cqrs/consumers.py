"""Event consumers: each reads the event table in order, at its own pace, and remembers how far it has come.

Domains declare them in `consumers.py`. One whose effect is in Postgres moves its offset in the same transaction;
one with effects elsewhere is idempotent and runs under a lease, outside any transaction.
"""

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from socialapp.cqrs import events
from socialapp.cqrs.events import Recorded
from socialapp.cqrs.failures import is_infrastructure
from socialapp.cqrs.models import ConsumerOffset, ParkedEvent

logger = logging.getLogger(__name__)

BATCH = 500
LONGEST_RUN = 1.0
LEASE = timedelta(seconds=30)
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Consumer:
    """consume(events) takes a batch in order. outside: whether its effects are outside of Postgres."""

    name: str
    consume: Callable[[list[Recorded]], None]
    outside: bool


_consumers: dict[str, Consumer] = {}

# Only events of transactions that no running one precedes: else a slow transaction's events, written with
# lower numbers but committed later, would be skipped.
UNREAD = "xid < pg_snapshot_xmin(pg_current_snapshot()) AND (xid, position) > (%s::text::xid8, %s)"


def consumer(name: str, *, outside: bool = False):
    """Declare consume(events: list[Recorded]) under a name, by which its offset is remembered."""

    def declare(consume: Callable) -> Callable:
        if name in _consumers:
            raise RuntimeError(f"consumer {name} is declared twice")
        _consumers[name] = Consumer(name, consume, outside)
        return consume

    return declare


def names() -> list[str]:
    return list(_consumers)


def run(name: str) -> bool:
    """Consume what is unread; True when there is more and the caller should come back."""
    running = _consumers[name]
    ConsumerOffset.objects.get_or_create(consumer=name)
    step = _step_outside if running.outside else _step
    deadline = time.monotonic() + LONGEST_RUN
    while step(running) == BATCH:
        if time.monotonic() > deadline:
            return True
    return False


def _step(running: Consumer) -> int:
    """One batch whose effect and offset commit together; returns its size."""
    with transaction.atomic(durable=True):
        held = ConsumerOffset.objects.select_for_update(skip_locked=True).filter(pk=running.name).first()
        if held is None:
            return 0
        batch = _unread(held)
        _digest(running, batch, guard=transaction.atomic)
        if batch:
            _offset(running).update(**_cursor(batch))
    return len(batch)


def _step_outside(running: Consumer) -> int:
    """One batch under the lease; a crash before the offset moves repeats it."""
    owner = uuid4()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=Now())
    if not _offset(running).filter(free).update(lease_owner=owner, lease_until=Now() + LEASE):
        return 0
    try:
        batch = _unread(ConsumerOffset.objects.get(pk=running.name))
        _digest(running, batch, guard=nullcontext)
        if batch:
            _offset(running).filter(lease_owner=owner).update(**_cursor(batch))
    finally:
        _offset(running).filter(lease_owner=owner).update(lease_owner=None, lease_until=None)
    return len(batch)


def _offset(running: Consumer) -> QuerySet:
    return ConsumerOffset.objects.filter(pk=running.name)


def _unread(held: ConsumerOffset) -> list[Recorded]:
    return events.read(UNREAD, [str(held.xid), held.position], limit=BATCH)


def _cursor(batch: list[Recorded]) -> dict:
    return {"xid": batch[-1].xid, "position": batch[-1].position, "updated_at": Now()}


def _digest(running: Consumer, batch: list[Recorded], *, guard: Callable) -> None:
    """Consume a batch; when that fails, event by event, so that only the indigestible one is parked."""
    if not batch:
        return
    try:
        with guard():
            running.consume(batch)
    except Exception as error:
        if is_infrastructure(error):
            raise
        for recorded in batch:
            _consume_or_park(running, recorded, guard)


def _consume_or_park(running: Consumer, recorded: Recorded, guard: Callable) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with guard():
                running.consume([recorded])
            return
        except Exception as error:
            if is_infrastructure(error):
                raise
            if attempt == ATTEMPTS:
                logger.exception("%s parks event %d", running.name, recorded.position)
                ParkedEvent.objects.get_or_create(
                    consumer=running.name, event_position=recorded.position, defaults={"error": repr(error)}
                )
