"""After a promotion the read cache may hold writes that were lost with the old primary: it starts afresh, once."""

from socialapp.cqrs import cache, keys, valkey


def forget_lost_writes(timeline: int) -> None:
    """Empty the cache unless that was done for this timeline of the primary. Raises valkey.UNREACHABLE.

    Told by each heartbeat, so that a cache which could not be reached is emptied as soon as it can be.
    """
    state, key, present = valkey.state(), keys.cached_timeline(), str(timeline).encode()
    if state.get(key) != present:
        list(cache.forget())
        state.set(key, present)
