"""Fragments: the read model as ready bytes. Domains declare entities, lists and pages; read views ask for them.

What the cache holds is `<etag>\\n<json>`, so that a hit needs no parsing. What does not exist is cached too.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import orjson

from socialapp.cqrs import keys, reader
from socialapp.cqrs.cursors import decode_cursor
from socialapp.cqrs.keys import Slot
from socialapp.cqrs.problems import Gone, NotFound

MISSING = b"missing\n"
DELETED = b"deleted\n"


class Fragment(NamedTuple):
    """etag: with its quotes, strong. body: JSON."""

    etag: bytes
    body: bytes


class NumberedPage(NamedTuple):
    """A page by its number. total: elements in the whole list. results: a JSON array. digest: names them."""

    total: int
    digest: bytes
    results: bytes

    def encode(self) -> bytes:
        return b"%d %s\n%s" % self

    @classmethod
    def decode(cls, content: bytes) -> "NumberedPage":
        head, results = content.split(b"\n", 1)
        total, digest = head.split(b" ")
        return cls(int(total), digest, results)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: identifiers of entities, newest first, and the cursor of the next page, if any."""

    identifiers: Sequence[str]
    cursor: str | None

    def encode(self) -> bytes:
        return orjson.dumps([self.identifiers, self.cursor])

    @classmethod
    def decode(cls, content: bytes) -> "Page":
        return cls(*orjson.loads(content))

    @classmethod
    def decode_existing(cls, content: bytes) -> "Page | None":
        """None when the list belongs to something that does not exist (any more)."""
        return None if content in (MISSING, DELETED) else cls.decode(content)


def encode(document: dict, version: int = 0) -> bytes:
    """The content of an entity. The ETag begins with the version that an edit compares, then names the very bytes."""
    body = orjson.dumps(document)
    return b'"%d-%s"\n%s' % (version, _digest(body), body)


def version_of(etag: str) -> int | None:
    """The version inside an ETag of ours; None when it is not one. A gateway may have weakened it (gzip)."""
    digits = etag.strip().removeprefix("W/").strip('"').partition("-")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=8).hexdigest().encode()


def _fragment(content: bytes) -> Fragment:
    return Fragment(*content.split(b"\n", 1))


def _require(content: bytes, name: str) -> None:
    if content == MISSING:
        raise NotFound(f"There is no such {name}.")
    if content == DELETED:
        raise Gone(f"This {name} was deleted.")


@dataclass(frozen=True)
class Entities:
    """Entities of one kind by identifier.

    load(identifiers, using) returns {identifier: content} from the database alias `using`; an identifier
    that is absent from it does not exist. ttl: seconds.
    """

    resource: str
    name: str
    load: Callable[[Sequence[str], str], dict[str, bytes]]
    ttl: float = 3600
    scope: str = "entity"

    def __post_init__(self):
        _declare(self)

    def key(self, identifier: object) -> str:
        return keys.entry(self.resource, self.scope, identifier)

    def get(self, identifier: object) -> Fragment:
        """Raises NotFound, Gone, or Unavailable."""
        (content,) = self.contents([str(identifier)])
        _require(content, self.name)
        return _fragment(content)

    def get_existing(self, identifiers: Sequence[str]) -> list[Fragment]:
        """Fragments of those that still exist, in the order asked for."""
        return existing(self.contents(identifiers))

    def peek(self, identifiers: Sequence[str]) -> list[Fragment] | None:
        """`get_existing` if the cache alone can answer, else None."""
        contents = reader.peek(self.slots(identifiers))
        return None if contents is None else existing(contents)

    def contents(self, identifiers: Sequence[str]) -> list[bytes]:
        """From the cache in one round trip, the rest from a database in one query; markers for what does not exist."""
        return reader.read(self.slots(identifiers), self.load_slots, self.ttl)

    def refill(self, entry_keys: Iterable[str]) -> None:
        """Put entities that became stale a moment ago; for the worker that made them so."""
        reader.refill([(key, "") for key in entry_keys], self.load_slots, self.ttl)

    def load_slots(self, slots: Sequence[Slot], using: str) -> dict[Slot, bytes]:
        identifiers = {slot: keys.identifier(slot[0]) for slot in slots}
        loaded = self.load(list(identifiers.values()), using)
        return {slot: loaded.get(identifier, MISSING) for slot, identifier in identifiers.items()}

    def slots(self, identifiers: Sequence[str]) -> list[Slot]:
        return [(self.key(identifier), "") for identifier in identifiers]


def existing(contents: list[bytes]) -> list[Fragment]:
    return [_fragment(content) for content in contents if content not in (MISSING, DELETED)]


@dataclass(frozen=True)
class Lists:
    """Lists of one kind: one hash per list, a field per page.

    load(identifier, limit, before, using) returns the Page after the element with the sort key `before`, of type
    `order`, from the database alias `using`. It raises NotFound or Gone when what the list belongs to is.
    name: of that. ttl: seconds.
    """

    resource: str
    scope: str
    name: str
    load: Callable[[str, int, object, str], Page]
    order: type
    ttl: float = 600

    def __post_init__(self):
        _declare(self)

    def key(self, identifier: object) -> str:
        return keys.entry(self.resource, self.scope, identifier)

    def get(self, identifier: object, *, limit: int, cursor: str | None) -> Page:
        """Raises NotFound, Gone, Unavailable, or Problem for a cursor that is none of ours."""
        # Before the cache is asked, since a page that cannot be loaded would keep its lease.
        decode_cursor(cursor, self.order)
        (content,) = reader.read([self.slot(identifier, limit, cursor)], self.load_slots, self.ttl)
        _require(content, self.name)
        return Page.decode(content)

    def load_slots(self, slots: Sequence[Slot], using: str) -> dict[Slot, bytes]:
        return {slot: self._load(slot, using) for slot in slots}

    def _load(self, slot: Slot, using: str) -> bytes:
        key, field = slot
        _, cursor, _, limit = field.split(":")
        try:
            page = self.load(keys.identifier(key), int(limit), decode_cursor(cursor or None, self.order), using)
        except NotFound:
            return MISSING
        except Gone:
            return DELETED
        return page.encode()

    def slot(self, identifier: object, limit: int, cursor: str | None) -> Slot:
        return self.key(identifier), f"cursor:{cursor or ''}:limit:{limit}"


@dataclass(frozen=True)
class Pages:
    """Lists of one kind by page number: one hash per list, a field per page, which holds its elements themselves.

    For lists that one reader has, and whose elements are read nowhere else as often. load(identifier, page, limit,
    using) returns (elements in the whole list, documents of the page's) from the database alias `using`; page counts
    from 1. ttl: seconds.
    """

    resource: str
    scope: str
    load: Callable[[str, int, int, str], tuple[int, Sequence[dict]]]
    ttl: float = 60

    def __post_init__(self):
        _declare(self)

    def key(self, identifier: object) -> str:
        return keys.entry(self.resource, self.scope, identifier)

    def get(self, identifier: object, *, page: int, limit: int) -> NumberedPage:
        """Past the end of the list it is empty. Raises Unavailable."""
        (content,) = reader.read([self.slot(identifier, page, limit)], self.load_slots, self.ttl)
        return NumberedPage.decode(content)

    def load_slots(self, slots: Sequence[Slot], using: str) -> dict[Slot, bytes]:
        return {slot: self._load(slot, using) for slot in slots}

    def _load(self, slot: Slot, using: str) -> bytes:
        key, field = slot
        _, page, _, limit = field.split(":")
        total, documents = self.load(keys.identifier(key), int(page), int(limit), using)
        results = orjson.dumps(documents)
        return NumberedPage(total, _digest(results), results).encode()

    def slot(self, identifier: object, page: int, limit: int) -> Slot:
        return self.key(identifier), f"page:{page}:limit:{limit}"


Kind = Entities | Lists | Pages
_declared: dict[tuple[str, str], Kind] = {}


def _declare(kind: Kind) -> None:
    if (kind.resource, kind.scope) in _declared:
        raise RuntimeError(f"{kind.resource}:{kind.scope} is declared twice")
    _declared[kind.resource, kind.scope] = kind


def declared(resource: str, scope: str) -> Kind | None:
    """What lies behind keys of this resource and scope; None for those of an older deployment."""
    return _declared.get((resource, scope))


def refill(entry_keys: Iterable[str]) -> None:
    """Put those of `entry_keys` that are entities. Raises valkey.UNREACHABLE, routing.DOWN or Unavailable."""
    by_kind: dict[Entities, list[str]] = {}
    for key in entry_keys:
        kind = declared(*keys.kind(key))
        if isinstance(kind, Entities):
            by_kind.setdefault(kind, []).append(key)
    for entities, stale in by_kind.items():
        entities.refill(stale)
