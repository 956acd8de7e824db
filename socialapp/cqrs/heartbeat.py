"""The primary's heartbeat: a row that replicas replay, and the newest one seen, told to all through Valkey."""

import time
from datetime import UTC, datetime

from django.db import connections

from socialapp.cqrs import keys, valkey

# Seconds between two looks at Valkey for a newer heartbeat.
REFRESH = 1.0

_KEY = f"{keys.PREFIX}:heartbeat:newest:primary"
_newest = datetime.min.replace(tzinfo=UTC)
_looked_at = 0.0

# The name of a WAL file begins with the timeline; after a promotion pg_control_checkpoint still tells the old one.
BEAT = """
    INSERT INTO cqrs_heartbeat (id, time, timeline)
    VALUES (1, clock_timestamp(),
            ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int)
    ON CONFLICT (id) DO UPDATE SET time = EXCLUDED.time, timeline = EXCLUDED.timeline
    RETURNING time
"""


def beat() -> datetime:
    """Write the heartbeat on the primary and tell it to all; called by beat each second."""
    with connections["default"].cursor() as cursor:
        cursor.execute(BEAT)
        (now,) = cursor.fetchone()
    valkey.state().set(_KEY, now.isoformat())
    return now


def silence() -> float:
    """Seconds since the newest heartbeat that anybody told of. Raises valkey.UNREACHABLE."""
    told = valkey.state().get(_KEY)
    if not told:
        return 1e9
    return (datetime.now(UTC) - datetime.fromisoformat(told.decode())).total_seconds()


def newest(seen: datetime) -> datetime:
    """The newest heartbeat that this process has seen anywhere, `seen` included."""
    global _newest, _looked_at
    if time.monotonic() - _looked_at > REFRESH:
        _looked_at = time.monotonic()
        try:
            told = valkey.state().get(_KEY)
        except valkey.UNREACHABLE:
            told = None
        if told:
            seen = max(seen, datetime.fromisoformat(told.decode()))
    _newest = max(_newest, seen)
    return _newest
