"""Reading through the cache: hits as they are, misses by the protocol of `cache`, databases when there is no cache.

Callers name slots and say how to load them; `fragments` is the only one.
"""

import logging
import time
from collections.abc import Callable, Sequence

from socialapp.cqrs import cache, routing, valkey, wire
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.cache import Busy, Lease
from socialapp.cqrs.flights import Flights
from socialapp.cqrs.keys import Slot
from socialapp.cqrs.servers import NOWHERE, Place
from socialapp.cqrs.stamps import content_of, horizon, is_due, may_be_due

logger = logging.getLogger(__name__)

# Contents of slots from the database alias; each slot that was asked for is in the answer.
Load = Callable[[Sequence[Slot], str], dict[Slot, bytes]]

# Seconds. Somebody else is filling: most fills take a few milliseconds; after this we read for ourselves.
BUSY_WAIT = 0.2
BUSY_PAUSE = 0.005
# A content larger than this is served, but not kept.
LARGEST = 256 * 1024
# Readers of this process share it: a cache that is gone or frozen costs one of them 50 ms now and then, not each.
breaker = Breaker(open_for=(0.5, 1.5), probe=0.1)
flights = Flights()


def peek(slots: Sequence[Slot]) -> list[bytes] | None:
    """Contents, if the cache has every one and none is about to expire; None when there is more to do."""
    if not slots:
        return []
    if breaker.is_open:
        return None
    try:
        with breaker:
            found = wire.get(slots)
    except valkey.UNREACHABLE:
        return None
    soon = horizon()
    for entry in found:
        if entry is None or (entry < soon and may_be_due(entry)):
            return None
    return [content_of(entry) for entry in found]


def read(slots: Sequence[Slot], load: Load, ttl: float) -> list[bytes]:
    """Contents in the order of `slots`, of which all are entities, or there is just one. ttl: seconds.

    Raises Unavailable when neither the cache nor any database can answer, and what `load` raises.
    """
    if not slots:
        return []
    if routing.requirement().skip_cache:
        found = _from_database(slots, load)
        return [found[slot] for slot in slots]
    try:
        with breaker:
            entries = dict(zip(slots, wire.get(slots), strict=True))
    except valkey.UNREACHABLE:
        found = _from_database(slots, load)
        return [found[slot] for slot in slots]
    soon = horizon()
    due = [slot for slot, entry in entries.items() if entry and entry < soon and is_due(entry)]
    missed = [slot for slot, entry in entries.items() if entry is None]
    fresh = _refresh(due, load, ttl) if due else {}
    if missed:
        fresh |= _fetch(missed, load, ttl)
    return [fresh[slot] if slot in fresh else content_of(entries[slot]) for slot in slots]


def refill(slots: Sequence[Slot], load: Load, ttl: float) -> None:
    """Write through: put what readers were using before it became stale. Not for readers; raises like `read`."""
    with breaker:
        leases = [found for found in cache.lookup_many(slots) if isinstance(found, Lease)]
    _fill(leases, load, ttl)


def _fetch(missed: Sequence[Slot], load: Load, ttl: float) -> dict[Slot, bytes]:
    boarded, aloft = flights.board(missed)
    try:
        found = _by_lease(boarded, load, ttl) if boarded else {}
    finally:
        flights.land(boarded)
    if aloft:
        found |= _after_landing(aloft, load, ttl)
    return found


def _after_landing(aloft: dict, load: Load, ttl: float) -> dict[Slot, bytes]:
    deadline = time.monotonic() + BUSY_WAIT
    for landing in aloft.values():
        landing.wait(max(0.0, deadline - time.monotonic()))
    found = _look(list(aloft))
    left = [slot for slot in aloft if slot not in found]
    return found | (_by_lease(left, load, ttl) if left else {})


def _by_lease(slots: Sequence[Slot], load: Load, ttl: float) -> dict[Slot, bytes]:
    """Fill what we get the lease for, wait for what others are filling, and read the rest without filling."""
    try:
        with breaker:
            outcomes = dict(zip(slots, cache.lookup_many(slots), strict=True))
    except valkey.UNREACHABLE:
        return _from_database(slots, load)
    found = {slot: content_of(outcome) for slot, outcome in outcomes.items() if isinstance(outcome, bytes)}
    found |= _fill([outcome for outcome in outcomes.values() if isinstance(outcome, Lease)], load, ttl)
    busy = [outcome for outcome in outcomes.values() if isinstance(outcome, Busy)]
    return found | (_wait(busy, load) if busy else {})


def _refresh(due: Sequence[Slot], load: Load, ttl: float) -> dict[Slot, bytes]:
    """Whatever goes wrong here, there is still the old entry."""
    try:
        with breaker:
            leases = [found for found in cache.lookup_many(due, early=True) if isinstance(found, Lease)]
        return _fill(leases, load, ttl)
    except (*valkey.UNREACHABLE, *routing.DOWN, routing.Unavailable) as error:
        logger.warning("an entry was not refreshed before its end: %s", error)
        return {}


def _fill(leases: Sequence[Lease], load: Load, ttl: float) -> dict[Slot, bytes]:
    """Load for leases from a database that may serve them, and keep it."""
    if not leases:
        return {}
    slots = [lease.slot for lease in leases]
    started = time.monotonic()
    required = _required([lease.floor for lease in leases])
    read = routing.read_with(lambda using: load(slots, using), **required, place_after=True)
    found = read.result
    if read.place is None:
        # No database that may fill could be asked. A refresh would then replace an entry by something older.
        return {lease.slot: found[lease.slot] for lease in leases if not lease.early}
    kept = [(lease, found[lease.slot]) for lease in leases if len(found[lease.slot]) <= LARGEST]
    _keep(kept, read.place, ttl, time.monotonic() - started)
    return found


def _required(floors: Sequence[Place | None]) -> dict:
    """What a database must have to serve these misses: all floors, and where one was lost, everything."""
    lost = None in floors
    return {"floor": NOWHERE if lost else max(floors, default=NOWHERE), "only_primary": lost}


def _keep(contents: list[tuple[Lease, bytes]], place: Place, ttl: float, cost: float) -> None:
    """A cache that fails here costs only the next reader's time."""
    try:
        with breaker:
            cache.fill_many(contents, place=place, ttl=ttl, cost=cost)
    except valkey.UNREACHABLE as error:
        logger.warning("the read cache did not take a fill: %s", error)


def _wait(busy: Sequence[Busy], load: Load) -> dict[Slot, bytes]:
    """Wait, bounded, for the holders of the leases; what takes too long is read without filling."""
    deadline, found = time.monotonic() + BUSY_WAIT, {}
    waiting = {outcome.slot: outcome.floor for outcome in busy}
    while waiting and time.monotonic() < deadline:
        time.sleep(BUSY_PAUSE)
        found |= _look(list(waiting))
        waiting = {slot: floor for slot, floor in waiting.items() if slot not in found}
    if not waiting:
        return found
    return found | _from_database(list(waiting), load, floors=list(waiting.values()))


def _look(slots: Sequence[Slot]) -> dict[Slot, bytes]:
    """The contents that the cache has; none when it cannot be asked."""
    try:
        with breaker:
            entries = wire.get(slots)
    except valkey.UNREACHABLE:
        return {}
    return {slot: content_of(entry) for slot, entry in zip(slots, entries, strict=True) if entry is not None}


def _from_database(slots: Sequence[Slot], load: Load, *, floors: Sequence[Place | None] = ()) -> dict[Slot, bytes]:
    return routing.read_with(lambda using: load(slots, using), **_required(floors)).result
