"""Room that is left: memory of the command log, the state store and the read cache, and bytes on disks.

For health, metrics and `manage.py backlog`; and whether the read cache is replicated, which it must not be. Only the
write pool and workers may ask servers for either.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from redis.exceptions import OutOfMemoryError

from socialapp.cqrs import keys, memory, valkey
from socialapp.cqrs.memory import Memory

# Of the state store's memory. It refuses everything when it is full: locks, sessions, and wake-ups of workers.
STATE_FULL_AT = 0.8
# Bytes, of a disk. Postgres needs some for each transaction, and takes no write without.
LEAST_FREE = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Disk:
    """A folder's disk; free: bytes."""

    name: str
    free: int

    @property
    def trouble(self) -> str:
        """What is wrong and what to do, or ""."""
        if self.free >= LEAST_FREE:
            return ""
        return f"{self.free // 2**20} MiB are free on the disk of {self.name}: make room before it is full"


def log() -> tuple[Memory, str]:
    """(memory, what is wrong and what to do, or ""). Raises valkey.UNREACHABLE, as the others do."""
    return _judged(
        valkey.command_log(),
        settings.LOG_FULL_AT,
        "the command log is nearly full; the inbox takes the writes: see whether workers apply, else give it memory",
    )


def state() -> tuple[Memory, str]:
    return _judged(
        valkey.state(),
        STATE_FULL_AT,
        "the state store is nearly full: see which queue or key grows, or give it memory",
    )


def _judged(client, limit: float, trouble: str) -> tuple[Memory, str]:
    found = memory.fullest(client)
    return found, trouble if found.share >= limit else ""


def cache_trouble() -> str:
    """A cache is full all the time and evicts; it refuses writes when what it may not evict takes up its memory."""
    try:
        valkey.read_cache().set(keys.probe(), b"", px=1000)
    except OutOfMemoryError:
        return "the read cache is full and can evict nothing: delete foreign keys without a TTL, or give it memory"
    return ""


def cache_replicas() -> int:
    """Replicas of the read cache's servers. They are asynchronous: one that takes over has entries that were dropped,
    and floors that had been raised. Raises valkey.UNREACHABLE.
    """
    return sum(one.info("replication")["connected_slaves"] for one in valkey.primaries(valkey.read_cache()))


def cache_replication() -> str:
    """What is wrong with the read cache's replication and what to do, or ""."""
    number = cache_replicas()
    if not number:
        return ""
    return f"the read cache has {number} replicas, and a failover to one would bring stale entries back: remove them"


def disks() -> list[Disk]:
    """Those of the setting DISKS. One that cannot be looked at has no room."""
    return [Disk(name, _free(folder)) for name, folder in settings.DISKS.items()]


def _free(folder: str) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def troubles() -> list[str]:
    """Everything that is short of room, or cannot be asked."""
    checks: dict[str, Callable[[], str]] = {
        "command log": lambda: log()[1],
        "state store": lambda: state()[1],
        "read cache": lambda: cache_trouble() or cache_replication(),
    }
    found = [_checked(*check) for check in checks.items()] + [disk.trouble for disk in disks()]
    return [trouble for trouble in found if trouble]


def _checked(name: str, check: Callable[[], str]) -> str:
    try:
        return check()
    except valkey.UNREACHABLE as error:
        return f"the {name} does not answer: {error}"
