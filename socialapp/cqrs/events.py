"""Events: facts in the past tense, written in the transaction that caused them, and what each makes stale.

Domains declare them in `events.py`; handlers emit them; consumers.py reads them in order.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson
from django.db import connections
from django.db.backends.utils import CursorWrapper

from socialapp.cqrs import statements
from socialapp.cqrs.problems import Unavailable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EventType:
    """published: whether other teams may learn of it (socialapp/publishing)."""

    cls: type
    name: str
    version: int
    aggregate: str
    published: bool


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its place in the history of its aggregate. xid and position are the read cursor (bigint)."""

    event: object
    aggregate_id: UUID
    aggregate_version: int
    time: datetime
    command_id: UUID
    xid: int = 0
    position: int = 0


class UnknownEvent(LookupError):
    """An event type or version, or a field of one, that this process has not been deployed with yet."""


_types: dict[tuple[str, int], EventType] = {}
_by_class: dict[type, EventType] = {}
_stale: dict[type, list[Callable]] = {}


def event(aggregate: str, *, version: int = 1, published: bool = False):
    """Declare an event class of `aggregate`; it becomes a frozen dataclass of primitives. It stays in this system
    unless it is `published`."""

    def declare(cls: type) -> type:
        cls = dataclass(frozen=True, slots=True)(cls)
        declared = EventType(cls, cls.__name__, version, aggregate, published)
        if (declared.name, version) in _types:
            raise RuntimeError(f"{declared.name} version {version} is declared twice")
        _types[declared.name, version] = _by_class[cls] = declared
        return cls

    return declare


def makes_stale(*classes: type):
    """Declare a function event -> iterable of cache keys; the worker and the cache consumer drop these."""

    def declare(keys_of: Callable) -> Callable:
        for cls in classes:
            _stale.setdefault(cls, []).append(keys_of)
        return keys_of

    return declare


def stale_keys(events: Iterable[object]) -> set[str]:
    return {key for event in events for keys_of in _stale.get(type(event), ()) for key in keys_of(event)}


def type_of(event: object) -> EventType:
    return _by_class[type(event)]


def all_types() -> list[EventType]:
    return list(_types.values())


APPEND = """
    INSERT INTO cqrs_event (type, version, aggregate, aggregate_id, aggregate_version, payload, time, command_id)
    SELECT * FROM json_to_recordset(%s::json) AS new (
        type text, version int, aggregate text, aggregate_id uuid, aggregate_version bigint, payload jsonb,
        time timestamptz, command_id uuid)
    RETURNING xid::text::bigint
"""


def record(events: list[Recorded]) -> int:
    """Append to the event table, inside the caller's transaction; its xid, 0 for no events."""
    return append(events).fetchone()[0] if events else 0


def append(events: list[Recorded]) -> CursorWrapper:
    """`record`, for a pipeline: the answer is there after it."""
    cursor = statements.cursor()
    cursor.execute(APPEND, [orjson.dumps([_row(recorded) for recorded in events]).decode()])
    return cursor


def _row(recorded: Recorded) -> dict:
    declared = type_of(recorded.event)
    return {
        "type": declared.name,
        "version": declared.version,
        "aggregate": declared.aggregate,
        "aggregate_id": recorded.aggregate_id,
        "aggregate_version": recorded.aggregate_version,
        "payload": recorded.event,
        "time": recorded.time,
        "command_id": recorded.command_id,
    }


# The table is named, as `xid` alone would be the column of the answer: a cast, by which no index is ordered.
IN_ORDER = "cqrs_event.xid, cqrs_event.position"
LAST_FIRST = "cqrs_event.xid DESC, cqrs_event.position DESC"
COLUMNS = "xid::text::bigint, position, type, version, aggregate_id, aggregate_version, payload::text, time, command_id"

BY_VERSION = "aggregate_id, aggregate_version"
BATCH = 500

# Of so many lanes, the one: by the last byte of an aggregate's id, which is random (its lower half by partition).
IN_LANE = "get_byte(uuid_send(aggregate_id), 15) %% %s = %s"


def read(where: str, parameters: list, *, limit: int = 500) -> list[Recorded]:
    """Events from the primary that match `where`, in the order of (xid, position), at most `limit`.

    Ends before the first event that this process does not know yet: a newer process will read on from there.
    """
    return known(_rows(where, parameters, limit))


def read_page(where: str, parameters: list, *, limit: int) -> tuple[list[Recorded], bool]:
    """The same, and whether these are all events that match."""
    rows = _rows(where, parameters, limit)
    found = known(rows)
    return found, len(found) == len(rows) < limit


def of_commands(command_ids: Sequence[UUID], *, after: tuple[int, int] = (0, 0)) -> tuple[list[Recorded], bool]:
    """What some commands caused beyond a cursor (xid, position), in order; False when this process does not know all
    of it."""
    found: list[Recorded] = []
    where, complete = "command_id = ANY(%s) AND (xid, position) > (%s::text::xid8, %s)", False
    while not complete:
        page, complete = read_page(where, [list(command_ids), str(after[0]), after[1]], limit=BATCH)
        found += page
        if not complete and len(page) < BATCH:
            return found, False
        after = (page[-1].xid, page[-1].position) if page else after
    return found, True


def history(aggregate_ids: Sequence[UUID], *, using: str = "default") -> Iterator[Recorded]:
    """All that is still recorded of some aggregates, of one after the other in the order of its versions.

    Raises Unavailable at an event that this process does not know yet.
    """
    where, after, complete = f"aggregate_id = ANY(%s) AND ({BY_VERSION}) > (%s, %s)", (UUID(int=0), 0), False
    while not complete:
        rows = _rows(where, [list(aggregate_ids), *after], BATCH, order=BY_VERSION, using=using)
        found, complete = known(rows), len(rows) < BATCH
        yield from found
        if len(found) < len(rows):
            raise Unavailable("A newer server has recorded what this one cannot read yet.")
        after = (found[-1].aggregate_id, found[-1].aggregate_version) if found else after


def known(rows: list[tuple]) -> list[Recorded]:
    """The events before the first one of a type or version that this process does not know, or with other fields."""
    found = []
    for row in rows:
        try:
            found.append(_restore(*row))
        except UnknownEvent as error:
            logger.warning("event %d waits for a newer process: %s", row[1], error)
            break
    return found


def is_known(name: str, version: int) -> bool:
    return (name, version) in _types


def is_readable(name: str, version: int, payload: str) -> bool:
    """Whether this process knows an event's type and version, and all of its fields."""
    try:
        _decode(name, version, payload)
    except UnknownEvent:
        return False
    return True


def last_cursor(where: str, parameters: list) -> tuple[int, int] | None:
    """(xid, position) of the last event that matches."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            f"SELECT xid::text::bigint, position FROM cqrs_event WHERE {where} ORDER BY {LAST_FIRST} LIMIT 1",
            parameters,
        )
        return cursor.fetchone()


def horizon() -> int:
    """The oldest running transaction: of those before it, all events can be seen, and no more will come."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        return cursor.fetchone()[0]


def _rows(where: str, parameters: list, limit: int, *, order: str = IN_ORDER, using: str = "default") -> list[tuple]:
    with connections[using].cursor() as cursor:
        cursor.execute(
            f"SELECT {COLUMNS} FROM cqrs_event WHERE {where} ORDER BY {order} LIMIT %s", [*parameters, limit]
        )
        return cursor.fetchall()


def _restore(xid, position, name, version, aggregate_id, aggregate_version, payload, time, command_id) -> Recorded:
    """Raises UnknownEvent."""
    event = _decode(name, version, payload)
    return Recorded(event, aggregate_id, aggregate_version, time, command_id, xid, position)


def _decode(name: str, version: int, payload: str) -> object:
    """Raises UnknownEvent."""
    if not is_known(name, version):
        raise UnknownEvent(f"{name} version {version}")
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in orjson.loads(payload).items()}
    try:
        return _types[name, version].cls(**fields)
    except TypeError as error:
        raise UnknownEvent(f"{name} version {version}: {error}") from error
