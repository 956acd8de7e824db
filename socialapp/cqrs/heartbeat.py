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

from socialapp.cqrs import keys, state_store, valkey

logger = logging.getLogger(__name__)

# Seconds between two looks at the state store, and the least while something names another timeline than it did.
REFRESH = 1.0
SOON = 0.1
# Seconds. Without the state store, a primary whose heartbeat is this much older than another's is not written to.
STOPPED = 10.0
# Seconds for which it is remembered that two timelines were written to.
DISPUTED_FOR = 5


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
# What it said then: whether it knows a heartbeat, and whether two timelines were written to.
_is_told = False
_is_disputed = False

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

    Raises valkey.UNREACHABLE.
    """
    global _is_disputed
    _is_disputed = True
    valkey.state().set(_DISPUTED, why, ex=DISPUTED_FOR)


def silence() -> float:
    """Seconds since the newest heartbeat that anybody told of. Raises valkey.UNREACHABLE."""
    told = _decoded(valkey.state().get(_KEY))
    return (datetime.now(UTC) - told.time).total_seconds() if told else 1e9


def newest(seen: Beat | None = None, *, ours: bool = False) -> Beat:
    """The newest heartbeat of the primary that the pools write to, as far as this process knows.

    The state store names the timeline. While it does not, the rows that servers show (`seen`) do: `ours` says that
    DATABASE_URL shows it, and another one counts only when those of ours have stopped.
    """
    _refresh(seen.timeline if seen else None)
    if seen and _counts(seen, ours=ours):
        _adopt(seen)
    return _newest


def timeline(claimed: int) -> int:
    """The timeline that the pools write to. Looks again when something claims to be on another one."""
    _refresh(claimed)
    return _newest.timeline


def is_disputed() -> bool:
    """Whether two timelines were written to in the last seconds."""
    _refresh(None)
    return _is_disputed


def undisputed_for() -> float:
    """Seconds for which this process has known the present timeline, and no other that is written to."""
    return 0.0 if is_disputed() else time.monotonic() - _changed_at


def _refresh(claimed: int | None) -> None:
    global _looked_at, _is_told, _is_disputed
    doubtful = _is_told and claimed not in (None, _newest.timeline)
    if time.monotonic() - _looked_at <= (SOON if doubtful else REFRESH):
        return
    _looked_at = time.monotonic()
    told, disputed = None, None
    with suppress(*valkey.UNREACHABLE), state_store.breaker:
        told, disputed = valkey.state().mget(_KEY, _DISPUTED)
    told = _decoded(told)
    _is_told, _is_disputed = told is not None, disputed is not None
    if told:
        _adopt(told)


def _counts(seen: Beat, *, ours: bool) -> bool:
    """Whether a row says which timeline is written to."""
    if seen.timeline == _newest.timeline or _newest == NEVER:
        return True
    if _is_told:
        return False
    return (seen.time - _newest.time).total_seconds() > (-STOPPED if ours else STOPPED)


def _adopt(beat: Beat) -> None:
    global _newest, _changed_at
    if beat.timeline == _newest.timeline:
        _newest = max(_newest, beat)
    else:
        _newest, _changed_at = beat, time.monotonic()


def _decoded(told: bytes | None) -> Beat | None:
    if not told:
        return None
    timeline, at = orjson.loads(told)
    return Beat(timeline, datetime.fromisoformat(at))
