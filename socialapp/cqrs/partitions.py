"""The event table's monthly partitions: made ahead, and dropped when their retention is over. Writers never wait.

There is no default partition, as Postgres would then have to scan it for each new one, and could not detach any
concurrently; so partitions must be there in time. Times are UTC.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connections

from socialapp.cqrs import consumers, servers
from socialapp.cqrs.models import ConsumerOffset, ParkedEvent

AHEAD = 3

# Made as a table of its own and attached then: `CREATE TABLE … PARTITION OF` would lock out readers and writers.
CREATE = """
    CREATE TABLE IF NOT EXISTS {name} (
        LIKE cqrs_event INCLUDING DEFAULTS INCLUDING CONSTRAINTS,
        PRIMARY KEY (position),
        CONSTRAINT {name}_version UNIQUE (aggregate_id, aggregate_version)
    )
"""
ATTACH = "ALTER TABLE cqrs_event ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}')"


@dataclass(frozen=True, slots=True)
class Partition:
    """start: None for the first one, which holds all that is older. detaching: begun by somebody who was cut off."""

    name: str
    start: datetime | None
    end: datetime
    detaching: bool = False

    def __str__(self):
        return f"{self.name} (before {self.end:%Y-%m-%d})"


def month(time: datetime, offset: int = 0) -> datetime:
    """The beginning of a month."""
    months = time.year * 12 + time.month - 1 + offset
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def existing() -> list[Partition]:
    """The oldest first."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            """
            SELECT relname, pg_get_expr(relpartbound, pg_class.oid), inhdetachpending
            FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
            WHERE inhparent = 'cqrs_event'::regclass
            """
        )
        found = [Partition(name, *_bounds(bound), detaching) for name, bound, detaching in cursor.fetchall()]
    return sorted(found, key=lambda partition: partition.end)


def missing(*, ahead: int = AHEAD) -> list[Partition]:
    """The months that have no partition yet, up to so many after this one."""
    covered = existing()[-1].end
    present = servers.primary_time()
    wanted = [month(present, offset) for offset in range(ahead + 1)]
    return [Partition(f"cqrs_event_{m:%Y_%m}", m, month(m, 1)) for m in wanted if m >= covered]


def create(partition: Partition) -> None:
    _execute(CREATE.format(name=partition.name))
    _execute(ATTACH.format(name=partition.name, start=partition.start, end=partition.end))


def expired(*, months: int) -> list[Partition]:
    """Those whose newest event is older than so many whole months; none when months is 0: events are kept."""
    if not months:
        return []
    oldest = month(servers.primary_time(), -months)
    return [partition for partition in existing() if partition.end <= oldest or partition.detaching]


def still_needed(partition: Partition) -> str:
    """Why a partition cannot be dropped; empty if it can. A consumer that has no offset yet will read it all."""
    if partition.detaching:
        return ""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            f"SELECT e.xid::text::bigint, position FROM {partition.name} e ORDER BY e.xid DESC, position DESC LIMIT 1"
        )
        last = cursor.fetchone()
        parked = ParkedEvent.objects.using("default").values_list("event_position", flat=True)
        cursor.execute(f"SELECT count(*) FROM {partition.name} WHERE position = ANY(%s)", [list(parked)])
        (held,) = cursor.fetchone()
    behind = sorted(set(_behind(last))) if last else []
    if behind:
        return f"{', '.join(behind)} has not read all of it"
    return f"{held} of its events are parked" if held else ""


def _behind(last: tuple[int, int]) -> Iterator[str]:
    offsets = ConsumerOffset.objects.using("default").filter(consumer__in=consumers.declared())
    cursors = [(offset.consumer, (offset.xid, offset.position)) for offset in offsets]
    yield from (name for name, cursor in cursors if cursor < last)
    yield from consumers.declared().keys() - {name for name, _ in cursors}


def drop(partition: Partition) -> None:
    """Outside of a transaction. Who is cut off while waiting for the last readers leaves it `detaching`."""
    how = "FINALIZE" if partition.detaching else "CONCURRENTLY"
    _execute(f"ALTER TABLE cqrs_event DETACH PARTITION {partition.name} {how}")
    _execute(f"DROP TABLE {partition.name}")


def sizes() -> dict[str, tuple[int, int]]:
    """(rows, bytes) by the name of a partition; the rows as the planner estimates them."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            """
            SELECT relname, greatest(reltuples, 0)::bigint, pg_total_relation_size(oid)
            FROM pg_class JOIN pg_inherits ON oid = inhrelid WHERE inhparent = 'cqrs_event'::regclass
            """
        )
        return {name: (rows, size) for name, rows, size in cursor.fetchall()}


def _execute(statement: str) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute(statement)


def _bounds(expression: str) -> tuple[datetime | None, datetime]:
    """FOR VALUES FROM ('2026-12-01 00:00:00+00') TO ('2027-01-01 00:00:00+00'), or FROM (MINVALUE)."""
    *start, end = (datetime.fromisoformat(time) for time in re.findall(r"'([^']+)'", expression))
    return (start[0] if start else None), end
