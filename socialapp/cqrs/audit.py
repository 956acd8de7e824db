"""Whether the read cache and the replicas say what the primary says. Used by `ops`; reads, and changes nothing.

A look compares one entry at one moment. What disagrees may be in flight: committed, and about to be invalidated or
replayed. So it is looked at again after each grace, and what the cache still says after the last one is older than
a finished invalidation: the protocol was broken, or somebody wrote without a command.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.db import DataError, connections

from socialapp.cqrs import fragments, keys, routing, valkey
from socialapp.cqrs.cache import Slot
from socialapp.cqrs.fragments import Entities
from socialapp.cqrs.problems import Problem
from socialapp.cqrs.stamps import content_of

# Seconds after the first look at an entry.
GRACES = (0, 1, 5, 10)
CACHE = "cache"

# What becomes of a place that does not agree with the primary. One that does has agreed `within` a grace.
STALE = "stale"  # the cache still says what it said at the first look
BEHIND = "behind"  # a replica lags longer than the last grace
UNSETTLED = "unsettled"  # the cache or the primary kept changing
UNKNOWN = "unknown"  # the cache holds what this process could not have made
UNREACHABLE = "unreachable"  # a replica does not answer

CHANGED = "changed"
# Characters of an excerpt, and how many of them come before the first difference.
SHOWN, BEFORE = 72, 24


class UnknownEntry(LookupError):
    """An entry of an older deployment, or of a newer one."""


class Subject(NamedTuple):
    """An entity, or the page `field` of a list, and the places that have not agreed with the primary so far.

    looks: how many there were. said: digest of what the cache disagreed with, CHANGED once it says something else.
    """

    key: str
    field: str
    places: tuple[str, ...]
    looks: int = 0
    said: str = ""

    @property
    def slot(self) -> Slot:
        return self.key, self.field

    @property
    def is_last_look(self) -> bool:
        return self.looks + 1 == len(GRACES)


@dataclass(frozen=True, slots=True)
class Violation:
    """A slot whose cached content is stale, and excerpts of that and of the truth."""

    slot: Slot
    cached: str
    primary: str


@dataclass(slots=True)
class Look:
    """outcomes: by place, of those that are done with. again: the subject with the other places, for the next look."""

    outcomes: dict[str, str] = field(default_factory=dict)
    again: Subject | None = None
    violation: Violation | None = None


def within(grace: float) -> str:
    return f"within {grace}"


def subject(key: str, page: str = "") -> Subject:
    return Subject(key, page, (CACHE, *routing.replicas()))


def look(subject: Subject) -> Look:
    """Compare now. Raises valkey.UNREACHABLE, or one of routing.DOWN when the primary is."""
    try:
        load = _loader(subject.slot)
        before = load(routing.PRIMARY)
        contents = {place: _content(place, subject.slot, load) for place in subject.places}
        after = before if set(contents.values()) <= {before, None} else load(routing.PRIMARY)
    except UnknownEntry:
        return Look({CACHE: UNKNOWN})
    return _judge(subject, contents, before, after)


def _loader(slot: Slot) -> Callable[[str], bytes]:
    """A function of a database alias: the content that a fill from there would have now."""
    key, page = slot
    try:
        kind = fragments.declared(*keys.kind(key))
    except ValueError as error:
        raise UnknownEntry(key) from error
    if kind is None or isinstance(kind, Entities) == bool(page):
        raise UnknownEntry(key)

    def load(using: str) -> bytes:
        try:
            return kind.load_slots([slot], using)[slot]
        except (Problem, ValidationError, ValueError, DataError) as error:
            raise UnknownEntry(key) from error

    return load


def _content(place: str, slot: Slot, load: Callable[[str], bytes]) -> bytes | None:
    """None where there is nothing to compare: no entry, or a replica that does not answer."""
    if place == CACHE:
        key, page = slot
        client = valkey.read_cache()
        entry = client.hget(key, page) if page else client.get(key)
        return None if entry is None else content_of(entry)
    try:
        return load(place)
    except routing.DOWN:
        connections[place].close()
        return None


def _judge(subject: Subject, contents: dict[str, bytes | None], before: bytes, after: bytes) -> Look:
    """`before` and `after` were read from the primary around `contents`: any state between the two is as good."""
    found, left = Look(), []
    said = _still_said(subject, contents.get(CACHE))
    for place, content in contents.items():
        if content in (before, after) or (content is None and place == CACHE):
            found.outcomes[place] = within(GRACES[subject.looks])
        elif content is None:
            found.outcomes[place] = UNREACHABLE
        elif not subject.is_last_look:
            left.append(place)
        elif before != after or (place == CACHE and said == CHANGED):
            found.outcomes[place] = UNSETTLED
        elif place != CACHE:
            found.outcomes[place] = BEHIND
        else:
            found.outcomes[place] = STALE
            found.violation = Violation(subject.slot, *excerpts(content, after))
    if left:
        found.again = subject._replace(places=tuple(left), looks=subject.looks + 1, said=said)
    return found


def _still_said(subject: Subject, content: bytes | None) -> str:
    now = blake2b(content or b"", digest_size=16).hexdigest()
    return now if subject.said in ("", now) else CHANGED


def excerpts(cached: bytes, primary: bytes) -> tuple[str, str]:
    """Both from shortly before their first difference; ETags differ first, but tell nothing unless all else agrees."""
    bodies = [content.partition(b"\n")[2] or content for content in (cached, primary)]
    if bodies[0] == bodies[1]:
        bodies = [cached, primary]
    start = max(0, len(os.path.commonprefix(bodies)) - BEFORE)
    return tuple(_excerpt(body, start) for body in bodies)


def _excerpt(body: bytes, start: int) -> str:
    shown = body[start : start + SHOWN].decode(errors="replace").strip()
    return f"{'…' if start else ''}{shown}{'…' if len(body) > start + SHOWN else ''}"
