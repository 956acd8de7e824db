"""Empty the read cache after a promotion, once: it may hold writes that were lost with the old primary."""

from socialapp.cqrs import cache, heartbeat, keys, routing, valkey


def forget_lost_writes(timeline: int) -> None:
    """Drop what the cache holds of another timeline, unless that was done before. Raises valkey.UNREACHABLE.

    Called at each heartbeat, so that a cache that cannot be reached is emptied as soon as it can be. While two
    timelines are written to nothing is done: no read is `strong` then, and the cache would be emptied each second.
    """
    state, key = valkey.state(), keys.cached_timeline()
    cached = int(state.get(key) or 0)
    if cached == timeline or heartbeat.is_disputed():
        return
    if cached > timeline:
        # The operator went back to the older side. Floors of the newer timeline would let nobody fill: lose them.
        list(cache.forget())
    else:
        cache.begin_timeline(routing.position(routing.PRIMARY))
    state.set(key, timeline)
