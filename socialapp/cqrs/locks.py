"""Locks in the state store that fail closed: who cannot be sure to be alone does nothing.

redis-py's lock: SET NX PX with a random owner, compare-and-delete to release. It keeps people from waiting for each
other's changes; that none of these is lost rests on the locked row and its version, as a lock may expire too early.
"""

import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from redis.exceptions import LockError
from redis.lock import Lock

from socialapp.cqrs import keys, state_store, valkey
from socialapp.cqrs.problems import Problem, Unavailable

logger = logging.getLogger(__name__)

# Seconds until the lock of somebody who died is free: longer than a request may take.
EXPIRY = 10
# Seconds between attempts, jittered, so that those who wait do not come all at once.
PAUSE = (0.02, 0.08)


class Locked(Problem):
    status, code, title = 409, "locked", "Somebody else is changing it"


@contextmanager
def exclusive(kind: str, identifier: object, *, patience: float = 0) -> Iterator[None]:
    """Hold the lock of one thing. Raises Locked when somebody else has it for `patience` seconds more, or Unavailable
    when nobody can tell."""
    lock = Lock(valkey.state(), keys.lock(kind, identifier), timeout=EXPIRY, thread_local=False)
    began = time.monotonic()
    try:
        acquired = _acquire(lock, began + patience)
    except valkey.UNREACHABLE as error:
        raise Unavailable("Locks cannot be taken now; nothing was changed.") from error
    if not acquired:
        _count(kind, "refused", began)
        raise Locked("It is being changed at this moment; read it again and repeat.")
    _count(kind, "acquired", began)
    try:
        yield
    finally:
        _release(kind, lock)


def _acquire(lock: Lock, deadline: float) -> bool:
    while not _is_free(lock):
        pause = random.uniform(*PAUSE)
        if time.monotonic() + pause > deadline:
            return False
        time.sleep(pause)
    return True


def _is_free(lock: Lock) -> bool:
    with state_store.breaker:
        return lock.acquire(blocking=False)


def _release(kind: str, lock: Lock) -> None:
    """Whatever comes of it, the change has been made or refused already; the lock expires by itself."""
    try:
        lock.release()
    except LockError:
        logger.warning("the lock of an %s expired before its holder was done", kind)
    except valkey.UNREACHABLE as error:
        logger.warning("the lock of an %s is left to expire: %s", kind, error)


def _count(kind: str, outcome: str, began: float) -> None:
    """For /metrics, in the store of the locks itself, where all processes count together."""
    pipeline = valkey.state().pipeline(transaction=False)
    pipeline.hincrby(keys.lock_counts(), f"{kind}:{outcome}", 1)
    pipeline.hincrby(keys.lock_counts(), f"{kind}:waited", int((time.monotonic() - began) * 1_000_000))
    with suppress(*valkey.UNREACHABLE):
        pipeline.execute()


def counts() -> dict[tuple[str, str], int]:
    """By (kind, "acquired" | "refused" | "waited"): how often, and microseconds. Raises valkey.UNREACHABLE."""
    stored = valkey.state().hgetall(keys.lock_counts())
    return {tuple(name.decode().split(":")): int(number) for name, number in stored.items()}
