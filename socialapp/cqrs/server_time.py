"""What time it is by the servers, without asking them: the clocks of web servers and workers may be wrong.

Code that gets a server's time along with an answer notes it here. From then on the monotonic clock counts.
"""

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)

# Nanoseconds. What the primary said before is out of date when another server was heard since: its clock may have been
# set meanwhile, and a reader may never ask it again.
KEPT = 300 * 10**9

# Nanoseconds since the epoch when the monotonic clock was 0: by the primary, and by a replica or a server of the log.
_by_primary: int | None = None
_by_another: int | None = None
# When the primary said so, by the monotonic clock.
_primary_at = 0


def note_primary(now: datetime) -> None:
    """The primary has just said that it is `now`."""
    global _by_primary, _primary_at
    _by_primary, _primary_at = _begun(now), time.monotonic_ns()


def note_another(now: datetime) -> None:
    """A replica, or a server of the log, has just said that it is `now`."""
    global _by_another
    _by_another = _begun(now)


def nanoseconds() -> int:
    """Nanoseconds since the epoch, by the primary's clock.

    A process that has not asked the primary lately goes by the last other server, and one that has asked none by its
    own clock. All clocks are compared with the primary's: a wrong clock of the log spreads no further than its stamps.
    """
    begun, present = _by_primary, time.monotonic_ns()
    if _by_another is not None and (begun is None or present - _primary_at > KEPT):
        begun = _by_another
    return time.time_ns() if begun is None else begun + present


def now() -> datetime:
    return moment(nanoseconds() // 1_000)


def moment(microseconds: int) -> datetime:
    """Of microseconds since the epoch."""
    return _EPOCH + microseconds * _MICROSECOND


def forget() -> None:
    """Begin as a new process does, which has asked no server."""
    global _by_primary, _by_another
    _by_primary = _by_another = None


def _begun(now: datetime) -> int:
    return (now - _EPOCH) // _MICROSECOND * 1_000 - time.monotonic_ns()
