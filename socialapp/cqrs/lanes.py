"""Dividing a consumer's events anew, among more or fewer lanes. Done by an operator, once all pools are deployed.

Not by the code's declaration itself: while old and new processes run side by side, each would undo the other's.
"""

from django.db import transaction

from socialapp.cqrs import consumers, servers
from socialapp.cqrs.consumers import Consumer, digest, end_of
from socialapp.cqrs.events import IN_LANE, read_page
from socialapp.cqrs.models import ConsumerOffset

BATCH = 500
BETWEEN = "(xid, position) > (%s::text::xid8, %s) AND (xid, position) <= (%s::text::xid8, %s)"


class LaneBusy(Exception):
    """A lane cannot be divided just now."""


def spread(name: str) -> int:
    """Divide the offsets of a consumer among as many lanes as are declared; returns the number.

    First its lanes come level, as an event must neither be skipped nor be consumed twice by its new lane. One whose
    effects are outside of Postgres is idempotent: it goes on from where its slowest lane is. Raises LaneBusy.
    """
    running = consumers.declared()[name]
    with transaction.atomic(durable=True):
        held = list(ConsumerOffset.objects.select_for_update(no_key=True).filter(consumer=name).order_by("lane"))
        present = servers.primary_time()
        if any(offset.lease_until and offset.lease_until > present for offset in held):
            raise LaneBusy(f"{name} runs just now; try again.")
        cursors = [(offset.xid, offset.position) for offset in held]
        start = min(cursors) if running.outside else max(cursors)
        for offset in held if not running.outside else ():
            _catch_up(running, offset, start)
        ConsumerOffset.objects.filter(pk__in=[offset.pk for offset in held]).delete()
        _create(running, start)
    return running.lanes


def _create(running: Consumer, start: tuple[int, int]) -> None:
    xid, position = start
    ConsumerOffset.objects.bulk_create(
        ConsumerOffset(consumer=running.name, lane=lane, lanes=running.lanes, xid=xid, position=position)
        for lane in range(running.lanes)
    )


def _catch_up(running: Consumer, offset: ConsumerOffset, target: tuple[int, int]) -> None:
    """Consume a lane's events up to `target`, which another lane has reached: no older event can appear any more."""
    complete = False
    while not complete:
        parameters = [str(offset.xid), offset.position, str(target[0]), target[1], offset.lanes, offset.lane]
        batch, complete = read_page(f"{BETWEEN} AND {IN_LANE}", parameters, limit=BATCH)
        if not batch and not complete:
            raise LaneBusy(f"{running.name} waits for an event's type that this process does not know.")
        done = digest(running, batch, guard=transaction.atomic)
        complete = complete and done == len(batch)
        offset.xid, offset.position = end_of(batch[:done], offset)
