"""The primary's heartbeat: a row that replicas replay, and which primary the pools write to.

Beat writes the row through DATABASE_URL, so a heartbeat proves that this deployment writes to that primary. A server
that was promoted behind its back has no heartbeat on its own timeline, and a higher timeline proves nothing.
"""

import logging
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

import orjson
from django.db import connections

from socialapp.cqrs import keys, server_time, state_store, valkey

logger = logging.getLogger(__name__)

# Seconds between two looks at the state store, and the least while something names another timeline than it did.
REFRESH = 1.0
SOON = 0.1
# Seconds. Without the state store, a primary whose heartbeat is this much older than another's is not written to.
STOPPED = 10.0
# Seconds for which it is remembered that two timelines were written to.
DISPUTED_FOR = 5
# Seconds. The state store names a new heartbeat each second. A row further ahead of it than this was written before the
# primary's clock was set back.
MOST_AHEAD = 5.0


class Beat(NamedTuple):
    """One heartbeat. Times of different timelines come from different clocks."""

    timeline: int
    time: datetime


NEVER = Beat(0, datetime.min.replace(tzinfo=UTC))

_KEY = f"{keys.PREFIX}:heartbeat:newest:primary"
_DISPUTED = f"{keys.PREFIX}:heartbeat:disputed:primary"
_newest = NEVER
# When `_newest` last changed its timeline, and when the state store was last asked (time.monotonic).
_changed_at = 0.0
_looked_at = 0.0
# The last heartbeat that it named, when it named that first (time.monotonic), and whether it named one when last asked.
_told = NEVER
_told_at = 0.0
_is_told = False
# Whether two timelines were written to, and when this process last learned that they were (time.monotonic).
_is_disputed = False
_disputed_at = 0.0

# The name of a WAL file begins with the timeline; after a promotion pg_control_checkpoint still tells the old one.
# Whoever can see the row has all that was written up to its position, as the row itself came after. So what the
# first heartbeat of a new timeline finds there is how much of the old one has survived (timelines.py).
BEAT = """
    WITH beat AS (
        SELECT clock_timestamp() AS time, lsn - '0/0' AS position,
               ('x' || left(pg_walfile_name(lsn), 8))::bit(32)::int AS timeline
        FROM pg_current_wal_flush_lsn() AS lsn
    ), survived AS (
        INSERT INTO cqrs_timeline (timeline, position)
        SELECT last.timeline, last.position FROM cqrs_heartbeat AS last, beat WHERE last.timeline < beat.timeline
        ON CONFLICT (timeline) DO NOTHING
    )
    INSERT INTO cqrs_heartbeat (id, time, timeline, position)
    SELECT 1, time, timeline, position FROM beat
    ON CONFLICT (id) DO UPDATE
    SET time = EXCLUDED.time, timeline = EXCLUDED.timeline, position = EXCLUDED.position
    RETURNING timeline, time
"""


def beat() -> Beat:
    """Write the heartbeat on the primary and publish it; called by beat each second."""
    with connections["default"].cursor() as cursor:
        cursor.execute(BEAT)
        now = Beat(*cursor.fetchone())
    _adopt(now)
    before = _decoded(valkey.state().set(_KEY, orjson.dumps([*now]), get=True))
    if before and before.timeline > now.timeline:
        why = f"a heartbeat was written on timeline {now.timeline} after one on timeline {before.timeline}"
        logger.error("split brain: %s. Stop one of the primaries; see operating.md.", why)
        dispute(why)
    return now


def dispute(why: str) -> None:
    """Record that two timelines are written to: for DISPUTED_FOR seconds no read is `strong`.

    Raises valkey.UNREACHABLE; then only this process knows.
    """
    _note_dispute(True)
    valkey.state().set(_DISPUTED, why, ex=DISPUTED_FOR)


def silence() -> float:
    """Seconds since the newest heartbeat that anybody told of, by the primary's clock. Raises valkey.UNREACHABLE."""
    told = _decoded(valkey.state().get(_KEY))
    return (server_time.now() - told.time).total_seconds() if told else 1e9


def newest(seen: Beat | None = None, *, ours: bool = False) -> Beat:
    """The newest heartbeat of the primary that the pools write to, as far as this process knows.

    The state store names the timeline. While it does not, the rows that servers show (`seen`) do: `ours` says that
    DATABASE_URL shows it, and another one counts only when those of ours have stopped.
    """
    _refresh(is_doubtful=seen is not None and (seen.timeline != _newest.timeline or _is_ahead(seen)))
    if seen and _counts(seen, ours=ours):
        _adopt(max(seen, _newest) if seen.timeline == _newest.timeline else seen)
    return _newest


def timeline(claimed: int) -> int:
    """The timeline that the pools write to. Looks again when something claims to be on another one."""
    _refresh(is_doubtful=claimed != _newest.timeline)
    return _newest.timeline


def is_disputed() -> bool:
    """Whether two timelines were written to in the last seconds."""
    _refresh()
    return _is_disputed and time.monotonic() - _disputed_at <= DISPUTED_FOR


def undisputed_for() -> float:
    """Seconds for which this process has known the present timeline, and no other that is written to."""
    return 0.0 if is_disputed() else time.monotonic() - max(_changed_at, _disputed_at)


def forget() -> None:
    """Begin as a new process does, which has seen no heartbeat."""
    global _newest, _changed_at, _looked_at, _told, _told_at, _is_told, _is_disputed, _disputed_at
    _newest = _told = NEVER
    _changed_at = _looked_at = _told_at = _disputed_at = 0.0
    _is_told = _is_disputed = False


def _refresh(*, is_doubtful: bool = False) -> None:
    global _looked_at, _is_told
    if time.monotonic() - _looked_at <= (SOON if is_doubtful and _is_told else REFRESH):
        return
    _looked_at = time.monotonic()
    told, disputed = None, None
    with suppress(*valkey.UNREACHABLE), state_store.breaker:
        told, disputed = valkey.state().mget(_KEY, _DISPUTED)
    told = _decoded(told)
    _is_told = told is not None
    # A store that does not answer, or has lost its memory, ends no dispute.
    if told or disputed:
        _note_dispute(disputed is not None)
    if told:
        _follow(told)


def _follow(told: Beat) -> None:
    """Take a heartbeat as the state store names it, also one that is older: the primary's clock was set back.

    One that it has named before is no news. When it refuses writes, rows on servers are newer.
    """
    global _told, _told_at
    if told != _told:
        _told, _told_at = told, time.monotonic()
        _adopt(told)
    elif told.timeline != _newest.timeline:
        _adopt(told)


def _counts(seen: Beat, *, ours: bool) -> bool:
    """Whether a row says which timeline is written to, and which heartbeat is its newest."""
    if _newest == NEVER:
        return True
    if seen.timeline == _newest.timeline:
        return not _is_ahead(seen)
    if _is_told:
        return False
    return (seen.time - _newest.time).total_seconds() > (-STOPPED if ours else STOPPED)


def _is_ahead(seen: Beat) -> bool:
    """Whether a row is further ahead of what the state store has named just now than a new heartbeat can be."""
    if not _is_told or time.monotonic() - _told_at > MOST_AHEAD:
        return False
    return (seen.time - _told.time).total_seconds() > MOST_AHEAD


def _adopt(beat: Beat) -> None:
    global _newest, _changed_at
    if beat.timeline != _newest.timeline:
        _changed_at = time.monotonic()
    _newest = beat


def _note_dispute(is_disputed: bool) -> None:
    global _is_disputed, _disputed_at
    _is_disputed = is_disputed
    if is_disputed:
        _disputed_at = time.monotonic()


def _decoded(told: bytes | None) -> Beat | None:
    if not told:
        return None
    timeline, at = orjson.loads(told)
    return Beat(timeline, datetime.fromisoformat(at))
