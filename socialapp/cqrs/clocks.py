"""The rules for stamps: which one a server accepts from a client, and which one it lets a client carry on.

Stamps are microseconds since the epoch. Only the clocks of the primary and of the log's servers make them.
"""

from datetime import UTC, datetime, timedelta

from socialapp.cqrs.consistency import BadToken

# Microseconds by which a stamp may be ahead of the clock of the server that reads it. The clocks of the log and of the
# primary may differ by less than that; more is the stamp of a clock that is wrong.
MOST_AHEAD = 5_000_000

_EPOCH = datetime.fromtimestamp(0, UTC)


class StampAhead(BadToken):
    """The answer carries the token without its stamp, so that the next request is accepted."""

    title = "The consistency token comes from a server whose clock is wrong"

    def __init__(self):
        super().__init__(
            "Its time is ahead of this server's clock; nothing was changed. Send the request again with the token of"
            " this answer."
        )


def require_present(stamp: int, now: int) -> None:
    """Raises StampAhead for a presented stamp that is too far ahead of a server's clock."""
    if stamp > now + MOST_AHEAD:
        raise StampAhead()


def stamp_after(presented: int, now: datetime) -> int:
    """The stamp of a command that a server accepts now. Raises StampAhead."""
    present = _microseconds(now)
    require_present(presented, present)
    return max(present, presented + 1)


def latest_trusted(now: datetime) -> int:
    """A stamp above this was made by a clock that was ahead."""
    return _microseconds(now) + MOST_AHEAD


def carried(stamp: int, now: int) -> int:
    """The stamp that a client gets for a command: that of a partition whose clock is ahead is not spread."""
    return stamp if stamp <= now + MOST_AHEAD else now


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)
