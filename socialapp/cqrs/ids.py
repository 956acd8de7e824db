"""Ids: UUIDv7 (RFC 9562), whose last hex digit is the partition that the thing's commands go through.

Lists are sorted by them, so their time is the servers', not that of the web server that makes them.
"""

import secrets
from datetime import datetime
from threading import Lock
from uuid import UUID

from uuid_utils.compat import uuid7

from socialapp.cqrs import server_time

PARTITIONS = 16
# Milliseconds by which the time may go back before ids do so, too. More is a clock that was wrong and has been set.
MOST_BACK = 5_000
# Bits below the milliseconds that keep the order of a process's ids (RFC 9562, 6.2, method 1): all of rand_a, and 30
# of rand_b. The rest is drawn for each id.
_COUNTER, _LOWER = 42, 30
# Bits of the step between two ids of one millisecond: 2^21 of them fit on average.
_STEP = 20

_last = 0
_lock = Lock()


def new_id(partition: int | None = None) -> UUID:
    """A new id in `partition` (0 to 15), or in a random one; above those that this process has made before."""
    if partition is None:
        partition = secrets.randbelow(PARTITIONS)
    place = _next_place(server_time.nanoseconds() // 1_000_000)
    time, counter = place >> _COUNTER, place & ((1 << _COUNTER) - 1)
    head = time << 16 | 7 << 12 | counter >> _LOWER
    tail = (0b10 << _LOWER | counter & ((1 << _LOWER) - 1)) << 32 | secrets.randbits(32) & ~0xF | partition
    return UUID(int=head << 64 | tail)


def id_at(time: datetime, partition: int) -> UUID:
    """The id that `new_id` would have given at `time`, for rows that do not come through commands."""
    return UUID(int=uuid7(nanoseconds=int(time.timestamp() * 1e9)).int & ~0xF | partition)


def partition_of(identifier: UUID) -> int:
    return identifier.int & 0xF


def _next_place(milliseconds: int) -> int:
    """A random place in a millisecond, after the last one."""
    global _last
    # Without its highest bit, so that the counter does not overflow within the millisecond.
    place = milliseconds << _COUNTER | secrets.randbits(_COUNTER - 1)
    with _lock:
        if place <= _last < (milliseconds + MOST_BACK) << _COUNTER:
            place = _last + 1 + secrets.randbits(_STEP)
        _last = place
    return place
