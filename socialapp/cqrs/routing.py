"""Which database answers a read: a replica that has replayed enough and does not lag, else the primary.

The router asks for the ORM, `fragments` for cache misses. Processes that write always read the primary.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections

from socialapp.cqrs import heartbeat, roles
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.problems import Unavailable

PRIMARY = "default"
# What a server that is down, starting or refusing raises; a wrong query raises something else.
DOWN = (OperationalError, InterfaceError)
# Seconds, jittered, for which a replica that failed or lagged is not asked again.
EJECTION = (1.0, 3.0)


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a request may not be shown less than. skip_cache: an invalidation it depends on is not confirmed."""

    token: Token = Token()
    skip_cache: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A database as it was found just before a read. position: bytes of WAL that it has replayed or flushed."""

    alias: str
    timeline: int
    position: int


NOTHING = Requirement()
_requirement: ContextVar[Requirement] = ContextVar("requirement", default=NOTHING)
_chosen: ContextVar[str | None] = ContextVar("chosen", default=None)
_ejected_until: dict[str, float] = {}

# One statement for either kind of server. A primary's flushed position covers all that it shows, because
# a commit is flushed before it becomes visible (synchronous_commit is on).
POSITION = """
    SELECT pg_is_in_recovery(),
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END
               - '0/0'::pg_lsn,
           time, timeline
    FROM cqrs_heartbeat WHERE id = 1
"""


def requirement() -> Requirement:
    return _requirement.get()


@contextmanager
def requiring(required: Requirement) -> Iterator[None]:
    """Hold every read of this block to `required`."""
    outer, chosen = _requirement.set(required), _chosen.set(None)
    try:
        yield
    finally:
        _requirement.reset(outer)
        _chosen.reset(chosen)


def replicas() -> list[str]:
    return [alias for alias in settings.DATABASES if alias != PRIMARY]


def candidates() -> list[str]:
    """Aliases that may be asked now, best first: usable replicas in random order, then the primary."""
    if roles.may_write():
        return [PRIMARY]
    now = time.monotonic()
    usable = [alias for alias in replicas() if _ejected_until.get(alias, 0) <= now]
    random.shuffle(usable)
    return [*usable, PRIMARY]


def database_for_read() -> str:
    """The alias for the ORM's reads of this request; chosen once, so that one request reads one place."""
    if roles.may_write():
        return PRIMARY
    alias = _chosen.get()
    if alias is None:
        alias = choose().alias
        _chosen.set(alias)
    return alias


def choose(*, floor: int = 0) -> Source:
    """A database that has replayed `floor` and what this request's token requires. Raises Unavailable."""
    token = _requirement.get().token
    for alias in candidates():
        try:
            source, beat = look(alias)
        except DOWN:
            eject(alias)
            continue
        if alias == PRIMARY or _suits(source, beat, token, floor):
            return source
    raise Unavailable("No database can answer this read now.")


def primary() -> Source:
    """The primary, for a miss that no replica may serve. Raises Unavailable."""
    try:
        return look(PRIMARY)[0]
    except DOWN as error:
        raise Unavailable("The primary database cannot be reached.") from error


def position(alias: str) -> tuple[int, int]:
    """(timeline, position) of a server, taken now."""
    source = look(alias)[0]
    return source.timeline, source.position


def eject(alias: str) -> None:
    """Leave a server alone for a while; the jitter keeps processes from coming back to it all at once."""
    if alias != PRIMARY:
        _ejected_until[alias] = time.monotonic() + random.uniform(*EJECTION)
    connections[alias].close()


def ejected(alias: str) -> bool:
    return _ejected_until.get(alias, 0) > time.monotonic()


def lag(beat: datetime) -> float:
    """Seconds between a server's heartbeat and the newest one seen anywhere: a dead primary is no lag."""
    return max(0.0, (heartbeat.newest(beat) - beat).total_seconds())


def look(alias: str) -> tuple[Source, datetime]:
    """A server as it is now, and the newest heartbeat that it shows. Raises one of DOWN."""
    with connections[alias].cursor() as cursor:
        cursor.execute(POSITION)
        row = cursor.fetchone()
    if row is None:
        raise OperationalError(f"{alias} has no heartbeat yet")
    _, at, beat, timeline = row
    return Source(alias, timeline, int(at)), beat


def _suits(source: Source, beat: datetime, token: Token, floor: int) -> bool:
    if lag(beat) > settings.REPLICA_MAX_LAG:
        eject(source.alias)
        return False
    if token.timeline > source.timeline:
        return False
    needed = token.position if token.timeline == source.timeline else 0
    return source.position >= max(floor, needed)
