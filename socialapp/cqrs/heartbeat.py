"""The primary's heartbeat: a row that replicas replay, and the newest one seen, told to all through Valkey."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

import orjson
from django.db import connections

from socialapp.cqrs import keys, valkey

# Seconds between two looks at Valkey for a newer heartbeat.
REFRESH = 1.0


class Beat(NamedTuple):
    """One heartbeat; of two, the greater is the newer. A promoted server's clock may be behind its predecessor's."""

    timeline: int
    time: datetime


NEVER = Beat(0, datetime.min.replace(tzinfo=UTC))

_KEY = f"{keys.PREFIX}:heartbeat:newest:primary"
_newest = NEVER
_looked_at = 0.0

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
    """Write the heartbeat on the primary and tell it to all; called by beat each second."""
    with connections["default"].cursor() as cursor:
        cursor.execute(BEAT)
        now = Beat(*cursor.fetchone())
    valkey.state().set(_KEY, orjson.dumps([*now]))
    return now


def silence() -> float:
    """Seconds since the newest heartbeat that anybody told of. Raises valkey.UNREACHABLE."""
    told = _told()
    return (datetime.now(UTC) - told.time).total_seconds() if told else 1e9


def newest(seen: Beat | None = None) -> Beat:
    """The newest heartbeat that this process has seen anywhere, `seen` included."""
    global _newest, _looked_at
    if time.monotonic() - _looked_at > REFRESH:
        _looked_at = time.monotonic()
        with suppress(*valkey.UNREACHABLE):
            _newest = max(_newest, _told() or _newest)
    _newest = max(_newest, seen or _newest)
    return _newest


def _told() -> Beat | None:
    told = valkey.state().get(_KEY)
    if not told:
        return None
    timeline, at = orjson.loads(told)
    return Beat(timeline, datetime.fromisoformat(at))
