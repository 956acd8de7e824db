"""What time it is by the servers, without asking them: the clocks of web servers and workers may be wrong.

Code that gets a server's time along with an answer notes it here. From then on the monotonic clock counts.
"""

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)

# Nanoseconds since the epoch when the monotonic clock was 0: by the primary, and by a replica or a server of the log.
_by_primary: int | None = None
_by_another: int | None = None


def note_primary(now: datetime) -> None:
    """The primary has just said that it is `now`."""
    global _by_primary
    _by_primary = _begun(now)


def note_another(now: datetime) -> None:
    """A replica, or a server of the log, has just said that it is `now`."""
    global _by_another
    _by_another = _begun(now)


def nanoseconds() -> int:
    """Nanoseconds since the epoch, by the primary's clock.

    A process that has not asked the primary goes by the last other server, and one that has asked none by its own
    clock. All clocks are compared with the primary's: a wrong clock of the log spreads no further than its stamps.
    """
    begun = _by_another if _by_primary is None else _by_primary
    return time.time_ns() if begun is None else begun + time.monotonic_ns()


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
