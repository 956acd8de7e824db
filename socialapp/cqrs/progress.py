"""How far each consumer is behind, for operators: the command `consumers` and the admin."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.db import connections

from socialapp.cqrs import consumers, events, servers
from socialapp.cqrs.models import ConsumerOffset, ParkedEvent

# Counting further would take longer than an operator waits.
MOST_COUNTED = 100_000
STANDS_AFTER = timedelta(seconds=30)
# Seconds. Shorter transactions are ordinary.
LONG_TRANSACTION = 5.0
HELD_BACK = "waits for a long transaction"
AFTER = "(xid, position) > (%s::text::xid8, %s)"


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
    lag = _lag(offset)
    parked = ParkedEvent.objects.using("default").filter(consumer=offset.consumer).count()
    return Progress(offset, lag.events, lag.seconds, _state(offset, lag), parked)


def _state(offset: ConsumerOffset, lag: "Lag") -> str:
    if offset.consumer not in consumers.declared():
        return "not declared any more"
    if offset.pk is None:
        return "has not begun"
    if not lag.events:
        return "level"
    if not lag.known:
        return "waits for a newer process"
    if lag.held_back:
        return HELD_BACK
    return "stands still" if servers.primary_time() - offset.updated_at > STANDS_AFTER else "reads"


@dataclass(frozen=True, slots=True)
class Lag:
    """seconds: since the oldest unread event happened. known: whether this process knows its type and fields.

    held_back: an older transaction still runs, so that no consumer may read the event yet (events.horizon).
    """

    events: int = 0
    seconds: float = 0.0
    known: bool = True
    held_back: bool = False


def _lag(offset: ConsumerOffset) -> Lag:
    """Counted without the horizon: events that a long transaction holds back are unread, too."""
    mine, named = consumers.share_of(consumers.declared().get(offset.consumer), offset)
    where = f"{AFTER}{mine}"
    parameters = [str(offset.xid), offset.position, *named]
    with connections["default"].cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM (SELECT FROM cqrs_event WHERE {where} LIMIT {MOST_COUNTED}) AS unread", parameters
        )
        (number,) = cursor.fetchone()
        cursor.execute(
            f"""
            SELECT extract(epoch FROM clock_timestamp() - time)::float, type, version, payload::text,
                   xid >= pg_snapshot_xmin(pg_current_snapshot())
            FROM cqrs_event WHERE {where} ORDER BY {events.IN_ORDER} LIMIT 1
            """,
            parameters,
        )
        oldest = cursor.fetchone()
    if not oldest:
        return Lag()
    seconds, name, version, payload, held_back = oldest
    readable = events.is_readable(name, version, payload)
    return Lag(number, max(0.0, seconds), readable, held_back and seconds > LONG_TRANSACTION)
