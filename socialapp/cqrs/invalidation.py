"""Invalidating entries of a read cache that may not answer: at once after a commit, or again by the consumer `cache`.

Called by `settle` only. A frozen cache costs a worker one timeout, then a tenth of a second now and then: applying
goes on, and what was not confirmed is repeated from the event table.
"""

import logging
from collections.abc import Collection

from socialapp.cqrs import cache, routing, valkey
from socialapp.cqrs.breaker import Open
from socialapp.cqrs.reader import breaker
from socialapp.cqrs.servers import Place

logger = logging.getLogger(__name__)

# Seconds for finding out whether a cache that failed a moment ago answers again.
GREETING = 0.1


def at_once(stale: Collection[str], *, place: Place) -> set[str] | None:
    """The keys that had an entry. None: the consumer `cache` has to repeat it, and until it has, tokens make reads skip
    the cache."""
    try:
        with breaker:
            return _invalidate(stale, place)
    except (*valkey.UNREACHABLE, *routing.DOWN) as error:
        # One line per failure, not per batch after it.
        if not isinstance(error, Open):
            logger.warning("the read cache did not confirm an invalidation: %s", error)
        return None


def again(stale: Collection[str], *, place: Place) -> None:
    """Invalidate although the cache failed a moment ago: nothing else does. Raises like `cache.invalidate`."""
    try:
        _invalidate(stale, place)
    except valkey.UNREACHABLE:
        breaker.trip()
        raise
    breaker.close()


def _invalidate(stale: Collection[str], place: Place) -> set[str]:
    if breaker.is_open:
        valkey.greet(valkey.read_cache(), within=GREETING)
    return cache.invalidate(stale, place=place)
