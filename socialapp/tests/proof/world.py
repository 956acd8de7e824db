"""One row, its copies on the replica and in the cache, those who read and write it, and what must always be true."""

import itertools
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from django.db import connections
from greenlet import GreenletExit, getcurrent

from socialapp.cqrs import cache, keys, reader, routing, valkey, wire
from socialapp.cqrs.cache import Slot
from socialapp.cqrs.flights import Flights
from socialapp.cqrs.stamps import content_of
from socialapp.tests.proof.actors import Actor, stand_still
from socialapp.tests.proof.servers import Replica, SlowCommits

TTL = 3600
_rows = itertools.count(1)
# What has happened in all worlds of this process, by name.
happened: Counter[str] = Counter()


class StaleEntry(AssertionError):
    """The cache holds an entry that lacks a write whose invalidation has returned."""


class WentBack(AssertionError):
    """A fill lacks a write that an earlier fill held, and that the primary already showed."""


class Loaded(NamedTuple):
    """What an actor loaded last. owed: by slot, the least that it must contain."""

    source: str
    owed: dict[Slot, int]


class World:
    """The row counts its writes, so its number says which of them a copy contains.

    It is cached as an entity and on two pages of a list. shown: writes that the primary shows. confirmed: those whose
    invalidation has returned. filled: by slot, the most that a fill has held since the cache last lost its memory.
    """

    def __init__(self, replica: Replica, commits: SlowCommits):
        self._replica, self._commits = replica, commits
        self.row = next(_rows)
        entity, pages = (keys.entry("proof", scope, self.row) for scope in ("entity", "list"))
        self.slots: list[Slot] = [(entity, ""), (pages, "page:1"), (pages, "page:2")]
        self.entry_keys = [entity, pages]
        self.actors: list[Actor] = []
        self.shown = self.confirmed = 0
        self.filled: Counter[Slot] = Counter()
        self.regression = ""
        self._loaded: dict[Actor, Loaded] = {}
        self._begin()

    def _begin(self) -> None:
        """The replica has the row, and the cache has floors for it."""
        reader.flights = Flights()
        valkey.read_cache().flushdb()
        with connections["default"].cursor() as cursor:
            cursor.execute("INSERT INTO proof_row (id, writes) VALUES (%s, 0)", [self.row])
        cache.invalidate(self.entry_keys, place=routing.position(routing.PRIMARY))
        self.replica_catches_up()

    # ---- who reads and writes ----

    def reader(self, slot: int = 0, *, early: bool = False) -> Actor:
        """A request in a read server. early: it refreshes the entry before its end."""
        slots = [self.slots[slot]]
        return self._enter(lambda: reader.read(slots, self._load, TTL), early=early)

    def refiller(self, slot: int = 0) -> Actor:
        """A worker that puts an entry, from the primary."""
        slots = [self.slots[slot]]
        return self._enter(lambda: reader.refill(slots, self._load, TTL), may_write=True)

    def writer(self) -> Actor:
        return self._enter(self._write, may_write=True)

    def _enter(self, run: Callable, **habits: bool) -> Actor:
        actor = Actor(run, self._filled, **habits)
        actor.go_on()
        self.actors.append(actor)
        return actor

    def _load(self, slots: list[Slot], using: str) -> dict[Slot, bytes]:
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT writes FROM proof_row WHERE id = %s", [self.row])
            (writes,) = cursor.fetchone()
        owed = {slot: min(self.filled[slot], self.shown) for slot in slots}
        self._loaded[getcurrent()] = Loaded(using, owed)
        return {slot: b"%d" % writes for slot in slots}

    def _write(self) -> None:
        stand_still("flush")
        while self._commits.is_waiting:
            stand_still("flush")  # the row is locked
        self._commits.flush(f"UPDATE proof_row SET writes = writes + 1 WHERE id = {self.row}")
        stand_still("show")
        self._commits.show()
        self.shown += 1
        written = self.shown
        place = routing.position(routing.PRIMARY)
        cache.invalidate(self.entry_keys, place=place)
        self.confirmed = max(self.confirmed, written)
        happened["invalidations"] += 1

    # ---- what befalls them ----

    def replica_catches_up(self, _slot: int = 0) -> None:
        self._replica.catch_up()

    def evict(self, slot: int = 0) -> None:
        valkey.read_cache().delete(self.slots[slot][0])

    def evict_lease(self, slot: int = 0) -> None:
        """Or it expires, which is the same."""
        valkey.read_cache().delete(keys.lease(self.slots[slot][0]))

    def evict_recovery(self, slot: int = 0) -> None:
        valkey.read_cache().delete(keys.recovery(self.slots[slot][0]))

    def lose_memory(self, _slot: int = 0) -> None:
        valkey.read_cache().flushdb()
        self.filled.clear()

    def other_traffic(self, _slot: int = 0) -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute("INSERT INTO proof_row (id, writes) VALUES (%s, 0)", [-next(_rows)])

    # ---- what must be true ----

    def _filled(self, slot: Slot, content: bytes) -> None:
        """Told of each fill that the cache took, by who filled."""
        loaded, writes = self._loaded[getcurrent()], int(content)
        happened[f"fills from {loaded.source}"] += 1
        owed = loaded.owed[slot]
        if writes < owed:
            self.regression = f"{slot} was filled with write {writes} after {owed}"
        self.filled[slot] = max(self.filled[slot], writes)

    def check(self) -> None:
        """Raises StaleEntry or WentBack."""
        happened["steps"] += 1
        if self.regression:
            raise WentBack(self.regression)
        for slot, entry in zip(self.slots, wire.get(self.slots), strict=True):
            if entry is not None and int(content_of(entry)) < self.confirmed:
                raise StaleEntry(f"{slot} holds {content_of(entry)!r}, and write {self.confirmed} is confirmed")

    def end(self) -> None:
        """Abandon whoever is on the way, as a crash would."""
        for actor in self.actors:
            if not actor.dead:
                actor.throw(GreenletExit)
        if self._commits.is_waiting:
            self._commits.show()
