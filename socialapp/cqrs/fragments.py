"""Fragments: the read model as ready bytes. Domains declare entities and lists; read views ask for them.

An entry is `<etag>\\n<json>`, so that a hit needs no parsing. What does not exist or is deleted is cached too.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from socialapp.cqrs import cache, keys, routing, valkey
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.cache import BUSY, Lease
from socialapp.cqrs.problems import Gone, NotFound

logger = logging.getLogger(__name__)

MISSING = b"missing\n"
DELETED = b"deleted\n"
# Seconds. Somebody else is filling: most fills take a few milliseconds; after this we read for ourselves.
BUSY_WAIT = 0.05
BUSY_PAUSE = 0.005
# Readers of this process share it: a cache that is gone or frozen costs one of them 50 ms now and then, not each.
breaker = Breaker(open_for=(0.5, 1.5), probe=0.1)
# A body larger than this is served, but not kept.
LARGEST_ENTRY = 256 * 1024


@dataclass(frozen=True, slots=True)
class Fragment:
    """etag: with its quotes, strong. body: JSON."""

    etag: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: identifiers of entities, newest first, and the cursor of the next page, if any."""

    identifiers: tuple[str, ...]
    cursor: str | None

    def encode(self) -> bytes:
        return orjson.dumps([self.identifiers, self.cursor])

    @classmethod
    def decode(cls, body: bytes) -> "Page":
        identifiers, cursor = orjson.loads(body)
        return cls(tuple(identifiers), cursor)


def encode(document: dict, version: int = 0) -> bytes:
    """An entry. The ETag begins with the version that an edit compares, then names the very bytes."""
    body = orjson.dumps(document)
    return b'"%d-%s"\n%s' % (version, blake2b(body, digest_size=8).hexdigest().encode(), body)


def version_of(etag: str) -> int | None:
    """The version inside an ETag of ours; None when it is not one. A gateway may have weakened it (gzip)."""
    digits = etag.strip().removeprefix("W/").strip('"').partition("-")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def _decode(entry: bytes, name: str) -> Fragment:
    if entry == MISSING:
        raise NotFound(f"There is no such {name}.")
    if entry == DELETED:
        raise Gone(f"This {name} was deleted.")
    etag, _, body = entry.partition(b"\n")
    return Fragment(etag, body)


@dataclass(frozen=True)
class Entities:
    """Entities of one kind by identifier.

    load(identifiers, using) returns {identifier: entry} from the database alias `using`; an identifier
    that is absent from it does not exist. ttl: seconds.
    """

    resource: str
    name: str
    load: Callable[[Sequence[str], str], dict[str, bytes]]
    ttl: float = 3600
    scope: str = "entity"

    def key(self, identifier: object) -> str:
        return keys.entry(self.resource, self.scope, identifier)

    def get(self, identifier: object) -> Fragment:
        """Raises NotFound, Gone, or Unavailable."""
        return _decode(self.entries([str(identifier)])[0], self.name)

    def get_existing(self, identifiers: Sequence[str]) -> list[Fragment]:
        """Fragments of those that still exist, in the order asked for."""
        found = zip(identifiers, self.entries(identifiers), strict=True)
        return [_decode(entry, self.name) for _, entry in found if entry not in (MISSING, DELETED)]

    def entries(self, identifiers: Sequence[str]) -> list[bytes]:
        """The entries of `identifiers`, from the cache in one round trip, the rest from a database in one query."""
        if not identifiers:
            return []
        entry_keys = [self.key(identifier) for identifier in identifiers]
        if routing.requirement().skip_cache:
            return self._read(identifiers)
        try:
            with breaker:
                found = valkey.read_cache().mget(entry_keys)
        except valkey.UNREACHABLE:
            return self._read(identifiers)
        missed = [position for position, entry in enumerate(found) if entry is None]
        if missed:
            filled = self._fill([identifiers[m] for m in missed], [entry_keys[m] for m in missed])
            for position, entry in zip(missed, filled, strict=True):
                found[position] = entry
        return found

    def _read(self, identifiers: Sequence[str]) -> list[bytes]:
        source = routing.choose()
        loaded = self.load(identifiers, source.alias)
        return [loaded.get(identifier, MISSING) for identifier in identifiers]

    def _fill(self, identifiers: Sequence[str], entry_keys: list[str]) -> list[bytes]:
        try:
            with breaker:
                outcomes = cache.lookup_many(entry_keys)
        except valkey.UNREACHABLE:
            return self._read(identifiers)
        leases = [
            (identifier, outcome)
            for identifier, outcome in zip(identifiers, outcomes, strict=True)
            if isinstance(outcome, Lease)
        ]
        loaded = self._load_leased(leases)
        return [
            self._entry(identifier, key, outcome, loaded)
            for identifier, key, outcome in zip(identifiers, entry_keys, outcomes, strict=True)
        ]

    def _load_leased(self, leases: list[tuple[str, Lease]]) -> dict[str, bytes]:
        if not leases:
            return {}
        wanted = [identifier for identifier, _ in leases]
        loaded, position = read_for([lease for _, lease in leases], lambda using: self.load(wanted, using))
        entries = {identifier: loaded.get(identifier, MISSING) for identifier in wanted}
        if position is not None:
            keep([(lease, entries[identifier]) for identifier, lease in leases], position, self.ttl)
        return entries

    def _entry(self, identifier: str, key: str, outcome: object, loaded: dict[str, bytes]) -> bytes:
        if isinstance(outcome, bytes):
            return outcome
        if outcome is BUSY:
            return wait_for_fill(lambda: valkey.read_cache().get(key)) or self._read([identifier])[0]
        return loaded[identifier]


@dataclass(frozen=True)
class Lists:
    """Lists of one kind: one hash per list, a field per page.

    load(identifier, limit, cursor, using) returns the Page from the database alias `using`.
    """

    resource: str
    scope: str
    load: Callable[[str, int, str | None, str], Page]
    ttl: float = 60

    def key(self, identifier: object) -> str:
        return keys.entry(self.resource, self.scope, identifier)

    def get(self, identifier: object, *, limit: int, cursor: str | None) -> Page:
        key, field = self.key(identifier), f"cursor:{cursor or ''}:limit:{limit}"
        if routing.requirement().skip_cache:
            return self._read(identifier, limit, cursor)
        try:
            with breaker:
                found = valkey.read_cache().hget(key, field) or cache.lookup(key, field)
        except valkey.UNREACHABLE:
            return self._read(identifier, limit, cursor)
        if found is BUSY:
            found = wait_for_fill(lambda: valkey.read_cache().hget(key, field))
        if isinstance(found, bytes):
            return Page.decode(found)
        if found is None:
            return self._read(identifier, limit, cursor)
        page, position = read_for([found], lambda using: self.load(identifier, limit, cursor, using))
        if position is not None:
            keep([(found, page.encode())], position, self.ttl)
        return page

    def _read(self, identifier: object, limit: int, cursor: str | None) -> Page:
        return self.load(identifier, limit, cursor, routing.choose().alias)


def read_for(leases: list[Lease], load: Callable) -> tuple[object, int | None]:
    """Load for a miss from a database that may serve it; the position is taken before and again after.

    The position is None when no database that may fill could be asked, and what was read must not be kept.
    """
    floors = [lease.floor for lease in leases]
    try:
        source = routing.primary() if None in floors else routing.choose(floor=max(floors))
    except routing.Unavailable:
        # The cache has lost its memory and the primary is down: a replica's answer is better than none.
        return load(routing.choose().alias), None
    loaded = load(source.alias)
    _, position = routing.position(source.alias)
    return loaded, position


def keep(bodies: list[tuple[Lease, bytes]], position: int, ttl: float) -> None:
    """Fill; a cache that fails here costs only the next reader's time."""
    try:
        with breaker:
            for lease, body in bodies:
                if len(body) <= LARGEST_ENTRY:
                    cache.fill(lease, body, position=position, ttl=ttl)
    except valkey.UNREACHABLE as error:
        logger.warning("the read cache did not take a fill: %s", error)


def wait_for_fill(look: Callable[[], bytes | None]) -> bytes | None:
    """Wait, bounded, for the holder of the lease; None when it took too long."""
    deadline = time.monotonic() + BUSY_WAIT
    while time.monotonic() < deadline:
        time.sleep(BUSY_PAUSE)
        try:
            with breaker:
                body = look()
        except valkey.UNREACHABLE:
            return None
        if body is not None:
            return body
    return None
