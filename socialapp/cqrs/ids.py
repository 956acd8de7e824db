"""Ids: UUIDv7 (RFC 9562), whose last hex digit is the partition that the thing's commands go through."""

import secrets
from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

PARTITIONS = 16


def new_id(partition: int | None = None) -> UUID:
    """A new time-ordered id in `partition` (0 to 15), or in a random one."""
    if partition is None:
        partition = secrets.randbelow(PARTITIONS)
    return UUID(int=uuid7().int & ~0xF | partition)


def id_at(time: datetime, partition: int) -> UUID:
    """The id that `new_id` would have given at `time`, for rows that do not come through commands."""
    return UUID(int=uuid7(nanoseconds=int(time.timestamp() * 1e9)).int & ~0xF | partition)


def partition_of(identifier: UUID) -> int:
    return identifier.int & 0xF
