"""Which database answers a read: a replica that has replayed enough and does not lag, else the primary, else
whatever is alive, and then the answer says `eventual`.

The router asks for the ORM, `read_with` reads for cache misses. Processes that write always read the primary.
"""

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from django.db import Error, InterfaceError, OperationalError

from socialapp.cqrs import roles, servers, timelines
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.failures import may_succeed_elsewhere
from socialapp.cqrs.problems import Unavailable
from socialapp.cqrs.servers import NOWHERE, PRIMARY, Place, Source, replicas

logger = logging.getLogger(__name__)

# What a server that is down, starting or refusing raises; a wrong query raises something else.
DOWN = (OperationalError, InterfaceError)
# SQLSTATEs of a replica that cancels a query which stands in the way of its replay.
CONFLICTS = ("40001", "40P01")


@dataclass(slots=True)
class Requirement:
    """What a request may not be shown less than. skip_cache: an invalidation it depends on is not confirmed.

    Routing notes what came of it. kept: nothing was read from a server that may lack a write of the token.
    failed_over: a server was lost in the middle of the request, which may be run again on another.
    """

    token: Token = Token()
    skip_cache: bool = False
    kept: bool = True
    failed_over: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """What `read_with` found, and where. place: taken again after the read; None when a cache must not keep it."""

    result: object
    source: Source
    place: Place | None = None


NOTHING = Requirement()
_requirement: ContextVar[Requirement] = ContextVar("requirement", default=NOTHING)
_chosen: ContextVar[str | None] = ContextVar("chosen", default=None)


def requirement() -> Requirement:
    return _requirement.get()


@contextmanager
def requiring(required: Requirement) -> Iterator[None]:
    """Hold every read of this block to `required`."""
    outer, chosen = _requirement.set(required), _chosen.set(None)
    try:
        yield
    finally:
        _requirement.reset(outer)
        _chosen.reset(chosen)


def candidates() -> list[str]:
    """Aliases that may be asked now, best first: usable replicas in random order, then the primary."""
    if roles.may_write():
        return [PRIMARY]
    aliases = replicas()
    random.shuffle(aliases)
    return [alias for alias in [*aliases, PRIMARY] if servers.usable(alias)]


def database_for_read() -> str:
    """The alias for the ORM's reads of this request; chosen once, so that one request reads one place."""
    if roles.may_write():
        return PRIMARY
    alias = _chosen.get()
    if alias is None:
        alias = choose().alias
        _chosen.set(alias)
    return alias


def choose(*, floor: Place = NOWHERE) -> Source:
    """The server for a read that requires `floor` and what this request's token does. Raises Unavailable.

    When none certainly has all of that, the best one alive, and the requirement notes that it was not kept.
    """
    for source, suits in _sources(floor=floor, only_primary=False):
        _note(source, suits)
        return source
    raise Unavailable("No database can answer this read now.")


def read_with(
    load: Callable[[str], object], *, floor: Place = NOWHERE, only_primary: bool = False, place_after: bool = False
) -> Read:
    """`load(alias)` on the server that `choose` would name, or on the next one when it is lost or cancels the query.

    only_primary: the cache has lost its floors, and what a replica says may not be kept. place_after: a cache
    wants to keep the result. Raises Unavailable, and what `load` raises for reasons of its own.
    """
    with servers.reading():
        for source, suits in _sources(floor=floor, only_primary=only_primary):
            # Before it is read: that something is not there is an answer too.
            _note(source, suits)
            try:
                result = load(source.alias)
            except Error as error:
                _leave(source.alias, error)
                continue
            return Read(result, source, _place_after(source) if suits and place_after else None)
    raise Unavailable("No database can answer this read now.")


def position(alias: str) -> Place:
    """Where a server is now."""
    return servers.look(alias).place


def fail_over(error: Exception) -> None:
    """Told of an error that is about to become the answer. The server that this request reads is left alone if it was
    lost or has cancelled a query; whoever runs the request may then run it again."""
    alias = _chosen.get()
    if alias is not None and not roles.may_write() and may_succeed_elsewhere(error):
        _leave(alias, error)
        _requirement.get().failed_over = True


def _sources(*, floor: Place, only_primary: bool) -> Iterator[tuple[Source, bool]]:
    """Servers for a read, best first, and whether each suits: first those that do, then the others that live."""
    usable = candidates()
    asked = [PRIMARY] if only_primary else usable
    living = []
    for alias in asked:
        source = _living(alias) if alias in usable else None
        if source and _suits(source, floor, only_primary=only_primary):
            yield source, True
        living.append(source)
    if not any(living):
        living = _first_living([alias for alias in usable if alias not in asked])
    found = sorted(filter(None, living), key=_how_far, reverse=True)
    yield from ((source, False) for source in found)


def _first_living(usable: list[str]) -> list[Source]:
    """Of servers that nobody would choose otherwise, those that live: usable ones, else ejected ones that do answer."""
    others = [] if roles.may_write() else [*replicas(), PRIMARY]
    answering = [alias for alias in others if servers.ejected(alias) not in ("", servers.UNREACHABLE)]
    silent = [alias for alias in others if servers.ejected(alias) == servers.UNREACHABLE]
    for aliases in (usable, answering, silent):
        if living := [source for source in map(_living, aliases) if source]:
            return living
    return []


def _living(alias: str) -> Source | None:
    """A server as it is now; None, and ejected, when it cannot be used."""
    try:
        return servers.look(alias)
    except Error as error:
        logger.warning("%s cannot be used: %s", alias, error)
        servers.eject(alias, servers.UNREACHABLE)
        return None


def _suits(source: Source, floor: Place, *, only_primary: bool) -> bool:
    """Whether all that is required is certainly visible there."""
    if why := servers.refusal(source):
        # The configured primary counts again from its first heartbeat on.
        if source.alias != PRIMARY:
            servers.eject(source.alias, why)
        return False
    if source.place < floor or (only_primary and source.is_replica):
        return False
    return _contains(source, _requirement.get().token)


def _contains(source: Source, token: Token) -> bool:
    try:
        return not servers.apart(source) and timelines.contains(source, token)
    except Error:
        return False


def _how_far(source: Source) -> tuple:
    return not servers.apart(source), source.timeline, source.position, not source.is_replica


def _note(source: Source, suits: bool) -> None:
    required = _requirement.get()
    if not suits and not _contains(source, required.token):
        required.kept = False


def _leave(alias: str, error: Error) -> None:
    """Eject a server that failed a read; raise what is not its fault, or what no other server could do better."""
    if roles.may_write() or not may_succeed_elsewhere(error):
        raise error
    logger.warning("%s failed a read: %s", alias, error)
    cancelled = getattr(error.__cause__, "sqlstate", None) in CONFLICTS
    servers.eject(alias, servers.CANCELLED if cancelled else servers.UNREACHABLE)


def _place_after(source: Source) -> Place | None:
    after = _living(source.alias)
    return after.place if after and after.timeline == source.timeline else None
