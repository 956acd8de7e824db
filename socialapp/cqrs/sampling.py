"""Entries of the read cache to look at: a walk over all of its keys that goes on where the last one stopped.

A server's SCAN is cheap at any size, returns what was there all the time at least once, and may be given up anywhere.
"""

import logging
import random
from collections.abc import Iterator

from redis import Redis
from redis.cluster import RedisCluster

from socialapp.cqrs import keys, valkey
from socialapp.cqrs.keys import Slot

logger = logging.getLogger(__name__)

# Keys that a server looks at in one go, while nobody else is served.
BATCH = 1000


def sample(limit: int) -> list[Slot]:
    """At most `limit` entities and pages, all of them when the cache holds no more. Raises valkey.UNREACHABLE."""
    places, found = _remembered(), set()
    servers = nodes()
    for name, node in servers.items():
        walked, places[name] = _walk(node, places.get(name, 0), -(-limit // len(servers)))
        found |= walked
    _remember(places)
    slots = list(_slots(sorted(found)))
    return random.sample(slots, min(limit, len(slots)))


def nodes() -> dict[str, Redis]:
    """Every server that holds entries, by a name that stays."""
    client = valkey.read_cache()
    if isinstance(client, RedisCluster):
        return {node.name: client.get_redis_connection(node) for node in client.get_primaries()}
    return {"one": client}


def _walk(node: Redis, place: int, wanted: int) -> tuple[set[str], int]:
    """Go on from `place` for at least `wanted` keys; when that is more than there are, until each was passed."""
    found, ends = set(), 0
    while len(found) < wanted and ends < 2:
        place, batch = node.scan(place, match=f"{keys.PREFIX}:*", count=min(BATCH, wanted))
        found.update(key for key in map(bytes.decode, batch) if keys.is_entry(key))
        ends += place == 0
    return found, place


def _slots(entry_keys: list[str]) -> Iterator[Slot]:
    """A list is each of its pages. What went away meanwhile is left out."""
    pages = _pipelined("hkeys", [key for key, kind in _pipelined("type", entry_keys) if kind == b"hash"])
    pages = dict(pages)
    for key in entry_keys:
        yield from ((key, page.decode()) for page in pages[key]) if key in pages else [(key, "")]


def _pipelined(command: str, entry_keys: list[str]) -> Iterator[tuple[str, object]]:
    pipeline = valkey.read_cache().pipeline(transaction=False)
    for key in entry_keys:
        getattr(pipeline, command)(key)
    return zip(entry_keys, pipeline.execute(), strict=True)


def _remembered() -> dict[str, int]:
    try:
        return {name.decode(): int(place) for name, place in valkey.state().hgetall(keys.audit("places")).items()}
    except valkey.UNREACHABLE as error:
        logger.warning("the walk over the read cache begins anew: %s", error)
        return {}


def _remember(places: dict[str, int]) -> None:
    try:
        valkey.state().hset(keys.audit("places"), mapping=places)
    except valkey.UNREACHABLE as error:
        logger.warning("the walk over the read cache will begin anew: %s", error)
