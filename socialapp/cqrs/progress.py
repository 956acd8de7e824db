"""How far each consumer is behind, for operators: the command `consumers` and the admin."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.db import connections
from django.utils.timezone import now

from socialapp.cqrs import consumers, events
from socialapp.cqrs.consumers import UNREAD
from socialapp.cqrs.models import ConsumerOffset, ParkedEvent

# Counting further would take longer than an operator waits.
MOST_COUNTED = 100_000
STANDS_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Progress:
    """events: unread ones, at most MOST_COUNTED. seconds: since the oldest of them happened. parked: of all lanes."""

    offset: ConsumerOffset
    events: int
    seconds: float
    state: str
    parked: int


def all_consumers() -> Iterator[Progress]:
    """Every lane of every consumer that is declared, or that has left an offset behind."""
    offsets = list(ConsumerOffset.objects.using("default").order_by("consumer", "lane"))
    begun = {offset.consumer for offset in offsets}
    for name in sorted(consumers.declared().keys() - begun):
        offsets.append(ConsumerOffset(consumer=name, lane=0, lanes=1))
    for offset in offsets:
        yield of_lane(offset)


def of_lane(offset: ConsumerOffset) -> Progress:
    number, seconds, known = _lag(offset)
    parked = ParkedEvent.objects.using("default").filter(consumer=offset.consumer).count()
    return Progress(offset, number, seconds, _state(offset, number, known), parked)


def _state(offset: ConsumerOffset, number: int, known: bool) -> str:
    if offset.consumer not in consumers.declared():
        return "not declared any more"
    if offset.pk is None:
        return "has not begun"
    if not number:
        return "level"
    if not known:
        return "waits for a newer process"
    return "stands still" if now() - offset.updated_at > STANDS_AFTER else "reads"


def _lag(offset: ConsumerOffset) -> tuple[int, float, bool]:
    """(unread events, seconds since the oldest of them, whether its type is known here)."""
    mine, named = consumers.share_of(consumers.declared().get(offset.consumer), offset)
    where = f"{UNREAD}{mine}"
    parameters = [str(events.horizon()), str(offset.xid), offset.position, *named]
    with connections["default"].cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT FROM cqrs_event WHERE {where} LIMIT {MOST_COUNTED}) AS unread", parameters
        )
        (number,) = cursor.fetchone()
        cursor.execute(
            f"""
            SELECT extract(epoch FROM now() - time)::float, type, version FROM cqrs_event WHERE {where}
            ORDER BY {events.IN_ORDER} LIMIT 1
            """,
            parameters,
        )
        oldest = cursor.fetchone()
    return (number, oldest[0], events.is_known(*oldest[1:])) if oldest else (0, 0.0, True)


def oldest_transaction() -> tuple[int, float] | None:
    """(process id, seconds) of the transaction that the event readers wait for, if there is one."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            """
            SELECT pid, extract(epoch FROM clock_timestamp() - xact_start)::float FROM pg_stat_activity
            WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() ORDER BY age(backend_xid) DESC LIMIT 1
            """
        )
        return cursor.fetchone()
