"""The database servers as this process sees them: how far each is, and which of them to leave alone for a while.

`routing` chooses among them. Any alias may turn out to be a primary or a replica: each says so itself.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from threading import BoundedSemaphore, Thread
from typing import NamedTuple

from django.conf import settings
from django.db import Error, OperationalError, connections
from psycopg_pool import PoolTimeout

from socialapp.cqrs import heartbeat, roles, server_time
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.deadlines import answered_within
from socialapp.cqrs.heartbeat import Beat
from socialapp.cqrs.problems import Unavailable

logger = logging.getLogger(__name__)

PRIMARY = "default"
# Seconds, jittered, for which a server that failed or lagged is not asked again; and how long a probe may take.
EJECTION = (1.0, 3.0)
PROBE = 10.0

# Seconds that a read waits for others of its process; clients and gateways have given up by then.
READING_WAIT = 5.0

# Why a server is not used. What is unreachable may be dead; the others answer, and are better than nothing.
UNREACHABLE = "unreachable"
CANCELLED = "cancelled a query"
LAGGING = "lagging"
OLDER_TIMELINE = "older timeline"
# Not of the history that the pools write: what such a server shows is never `strong`, and never cached.
NO_HEARTBEAT = "is a primary, without a heartbeat"
OTHER_PRIMARY = "belongs to a primary that is not written to"

# Seconds for which a look at a server says that it takes writes; health checks look more often.
RECENT = 5.0


class Place(NamedTuple):
    """A position (bytes of WAL) on its timeline. Of two, the greater has what survived of the lesser's history."""

    timeline: int
    position: int


NOWHERE = Place(0, 0)


@dataclass(frozen=True, slots=True)
class Source:
    """A server as it was found just before a read.

    position: bytes of WAL that it has replayed or flushed, on `timeline`. beat: the newest heartbeat that it shows.
    started: when its postmaster started, which tells two servers apart.
    """

    alias: str
    is_replica: bool
    timeline: int
    position: int
    beat: Beat
    started: datetime

    @property
    def place(self) -> Place:
        return Place(self.timeline, self.position)

    @property
    def lacks_heartbeat(self) -> bool:
        """Whether it left recovery, and nobody has written a heartbeat through it since."""
        return not self.is_replica and self.beat.timeline != self.timeline


# A primary knows its timeline by itself, before the first heartbeat after a promotion. Its flushed position covers all
# that it shows, because a commit is flushed before it becomes visible (synchronous_commit is on).
OWN_TIMELINE = "('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int"
# (timeline, position), for who has just committed and so talks to a primary.
PLACE = f"SELECT {OWN_TIMELINE}, (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint"
# One statement for either kind of server.
POSITION = f"""
    SELECT pg_is_in_recovery(),
           CASE WHEN pg_is_in_recovery() THEN timeline ELSE {OWN_TIMELINE} END,
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END
               - '0/0'::pg_lsn,
           timeline, time, pg_postmaster_start_time(), clock_timestamp()
    FROM cqrs_heartbeat WHERE id = 1
"""

_reasons: dict[str, str] = {}
# The last look at each alias, and when it was (time.monotonic).
_seen: dict[str, tuple[Source, float]] = {}
_readers = BoundedSemaphore(settings.MOST_READS)


def replicas() -> list[str]:
    return [alias for alias in settings.DATABASES if alias != PRIMARY]


def look(alias: str) -> Source:
    """A server as it is now. Raises one of django.db.Error when it cannot be used."""
    began = time.monotonic()
    while True:
        asked = time.monotonic()
        try:
            source = _ask(alias)
        except Exception as error:
            if asked - began < READING_WAIT and _waited_for_others(alias, error, since=asked):
                continue
            _seen.pop(alias, None)
            raise
        # Until now `primaries` goes by the look before.
        _seen[alias] = source, time.monotonic()
        return source


def _waited_for_others(alias: str, error: Exception, *, since: float) -> bool:
    """Whether the pool had no connection to give while the server answered others: this process is slow, not it.

    A pool that grows on a busy machine may take longer for it than a server may take for an answer.
    """
    _, answered = _seen.get(alias, (None, 0.0))
    return isinstance(error.__cause__, PoolTimeout) and answered > since


def _ask(alias: str) -> Source:
    with answered_within(settings.REPLICA_TIMEOUT), connections[alias].cursor() as cursor:
        cursor.execute(POSITION)
        row = cursor.fetchone()
    if row is None:
        raise OperationalError(f"{alias} has no heartbeat yet")
    is_replica, timeline, position, *beat, started, now = row
    note = server_time.note_primary if alias == PRIMARY and not is_replica else server_time.note_another
    note(now)
    return Source(alias, is_replica, timeline, int(position), Beat(*beat), started)


def primary_time() -> datetime:
    """What time it is by the primary's clock. Raises one of django.db.Error."""
    with connections[PRIMARY].cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    server_time.note_primary(now)
    return now


def primaries() -> dict[str, Source]:
    """By alias, the servers that take writes, as far as this process has looked lately. Two of them: split brain.

    An alias of the same server as DATABASE_URL's does not count.
    """
    now, found = time.monotonic(), {}
    # PRIMARY comes first, as settings.DATABASES is in that order.
    for alias in settings.DATABASES:
        source, at = _seen.get(alias, (None, 0.0))
        if source and not source.is_replica and now - at < RECENT:
            found.setdefault(source.started, source)
    return {source.alias: source for source in found.values()}


@contextmanager
def reading() -> Iterator[None]:
    """Hold connections for one read, and for no longer: requests wait for one another here, in their order.

    Without it a crowd of misses would wait for the pools, and a pool in which all are busy looks like a dead server.
    Raises Unavailable after READING_WAIT.
    """
    if not _readers.acquire(timeout=READING_WAIT):
        raise Unavailable("Too many reads are waiting for a database.")
    try:
        yield
    finally:
        _hand_back()
        _readers.release()


def _hand_back() -> None:
    """To the pools, where there are any: by itself Django does so at the end of the request."""
    for connection in connections.all(initialized_only=True):
        if connection.pool and not connection.in_atomic_block:
            connection.close()


def newest_beat(source: Source) -> Beat:
    """The newest heartbeat of the primary that is written to, with what `source` shows of it."""
    ours = source.alias == PRIMARY and not source.is_replica and not source.lacks_heartbeat
    return heartbeat.newest(source.beat, ours=ours)


def lag(source: Source) -> float:
    """Seconds between a server's heartbeat and the newest one seen anywhere: a dead primary is no lag.

    A server that shows a later time than the newest heartbeat has stopped before the primary's clock was set back.
    """
    return abs((newest_beat(source).time - source.beat.time).total_seconds())


def apart(source: Source) -> str:
    """Why a server is not of the history that the pools write, or ""."""
    if source.lacks_heartbeat:
        return NO_HEARTBEAT
    present = newest_beat(source).timeline
    if source.timeline < present:
        return OLDER_TIMELINE
    return OTHER_PRIMARY if source.timeline > present or _is_a_twin(source) else ""


def _is_a_twin(source: Source) -> bool:
    """Whether it was promoted beside the primary that DATABASE_URL names, and so has the same timeline."""
    ours, _ = _seen.get(PRIMARY, (None, 0.0))
    if source.is_replica or source.alias == PRIMARY or ours is None or ours.is_replica:
        return False
    return source.timeline == ours.timeline and source.started != ours.started


def refusal(source: Source) -> str:
    """Why a server that answers must not be read from, or ""."""
    return apart(source) or (LAGGING if lag(source) > settings.REPLICA_MAX_LAG else "")


def eject(alias: str, why: str) -> None:
    """Leave a server alone for a while. Whoever writes has only the primary, and goes on asking it."""
    connection = connections[alias]
    connection.close()
    if roles.may_write():
        return
    level = logging.ERROR if why in (NO_HEARTBEAT, OTHER_PRIMARY) else logging.WARNING
    logger.log(level, "%s is not read from for a while: %s", alias, why)
    _reasons[alias] = why
    _breaker(alias).trip()
    if why == UNREACHABLE and connection.pool:
        # Its other connections are as broken; each would cost a request, or a probe, to find that out.
        connection.pool.drain()


def ejected(alias: str) -> str:
    """Why a server is left alone, or ""."""
    return _reasons.get(alias, "") if _breaker(alias).is_open else ""


def usable(alias: str) -> bool:
    """Whether a read may ask this server. One that was ejected is probed beside the requests, by one at a time."""
    breaker = _breaker(alias)
    if breaker.is_open and breaker.admits():
        Thread(target=probe, args=(alias,), daemon=True).start()
    return not breaker.is_open


def probe(alias: str) -> None:
    """Look whether an ejected server may be used again. In a thread of its own: no request waits for a dead server."""
    try:
        why = refusal(look(alias))
    except Error:
        why = UNREACHABLE
    if why:
        eject(alias, why)
        return
    connections[alias].close()
    _breaker(alias).close()


def forget() -> None:
    """Begin as a new process does: every server is usable until it proves otherwise."""
    _breaker.cache_clear()
    _reasons.clear()
    _seen.clear()


@cache
def _breaker(alias: str) -> Breaker:  # noqa: ARG001 one for each
    return Breaker(open_for=EJECTION, probe=PROBE)
