"""Empty the read cache after a promotion, once: it may hold writes that were lost with the old primary."""

from contextlib import suppress

from redis.exceptions import LockError
from redis.lock import Lock

from socialapp.cqrs import cache, heartbeat, keys, routing, valkey

# Seconds after which somebody else begins again: the process that emptied the cache has died.
LONGEST = 60


def forget_lost_writes(timeline: int) -> None:
    """Drop what the cache holds of another timeline, unless that was done before. Raises valkey.UNREACHABLE.

    Called at each heartbeat, so that a cache that cannot be reached is emptied as soon as it can be. While two
    timelines are written to nothing is done: no read is `strong` then, and the cache would be emptied each second.
    """
    if _cached_timeline() == timeline or heartbeat.is_disputed():
        return
    lock = Lock(valkey.state(), keys.lock("cached", "timeline"), timeout=LONGEST, thread_local=False)
    # The next heartbeat comes in a second, and sees what became of it.
    if not lock.acquire(blocking=False):
        return
    try:
        _begin(timeline)
    finally:
        with suppress(LockError):
            lock.release()


def _begin(timeline: int) -> None:
    cached = _cached_timeline()
    if cached == timeline:
        return
    if cached > timeline:
        # The operator went back to the older side. Floors of the newer timeline would let nobody fill: lose them.
        list(cache.forget())
    else:
        cache.begin_timeline(routing.position(routing.PRIMARY))
    valkey.state().set(keys.cached_timeline(), timeline)


def _cached_timeline() -> int:
    return int(valkey.state().get(keys.cached_timeline()) or 0)
