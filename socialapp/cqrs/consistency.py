"""Consistency tokens: what a client has written, signed, so that its reads are never older than that."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from uuid import UUID

import orjson
from django.core import signing

from socialapp.cqrs.ids import partition_of
from socialapp.cqrs.problems import Problem

HEADER = "Consistency-Token"
COOKIE = "consistency_token"
# After an hour every replica and every list has seen a write; a browser need not bypass the gateway for longer.
COOKIE_AGE = 3600
# Two per partition, and a token of some 2 KB; a cookie holds four.
MOST_PENDING = 32

# Reads SECRET_KEY_FALLBACKS too: a token outlives the key that it was signed with.
_signer = signing.Signer(salt="socialapp.consistency")


class BadToken(Problem):
    status, code, title = 400, "invalid_consistency_token", "The consistency token is not one of ours"


@dataclass(frozen=True, slots=True)
class Token:
    """position: highest commit position (bytes of WAL) on `timeline`; stamp: highest stamp (microseconds).

    pending: commands, in the order of their acceptance, whose effect is not known to be in `position` and out of the
    cache. older: the highest position on each earlier timeline, until a read has found out what became of it.
    """

    timeline: int = 0
    position: int = 0
    stamp: int = 0
    pending: tuple[UUID, ...] = ()
    older: dict[int, int] = field(default_factory=dict)

    def encode(self) -> str:
        older = {str(timeline): position for timeline, position in self.older.items()}
        pending = [command_id.hex for command_id in self.pending]
        body = orjson.dumps([self.timeline, self.position, self.stamp, pending, older])
        return _signer.sign(signing.b64_encode(body).decode())

    @classmethod
    def decode(cls, text: str) -> "Token":
        """Raises BadToken when the signature does not hold."""
        try:
            body = signing.b64_decode(_signer.unsign(text).encode())
            timeline, position, stamp, pending, older = orjson.loads(body)
            pending = tuple(UUID(command_id) for command_id in pending)
            older = {int(timeline): position for timeline, position in older.items()}
        except (signing.BadSignature, ValueError) as error:
            raise BadToken() from error
        return cls(timeline, position, stamp, pending, older)

    def positions(self) -> dict[int, int]:
        """{timeline: position}, without what stands for nothing."""
        found = self.older | {self.timeline: self.position}
        return {timeline: position for timeline, position in found.items() if position}

    def merged(self, other: "Token") -> "Token":
        """What a client has seen that has seen both. Positions of different timelines do not compare."""
        older = dict(self.older)
        for timeline, position in [(self.timeline, self.position), *other.positions().items()]:
            older[timeline] = max(position, older.get(timeline, 0))
        timeline = max(self.timeline, other.timeline)
        position = older.pop(timeline, 0)
        pending = _bounded([*self.pending, *other.pending])
        older = {timeline: position for timeline, position in older.items() if position}
        return Token(timeline, position, max(self.stamp, other.stamp), pending, older)

    def awaiting(self, command_id: UUID, stamp: int) -> "Token":
        return replace(self, stamp=max(self.stamp, stamp), pending=_bounded([*self.pending, command_id]))

    def without(self, command_ids: Iterable[UUID]) -> "Token":
        done = set(command_ids)
        return replace(self, pending=tuple(c for c in self.pending if c not in done))

    def since(self, timeline: int) -> "Token":
        """Without the positions on timelines before `timeline`."""
        if self.timeline < timeline:
            return replace(self, timeline=timeline, position=0, older={})
        return replace(self, older={earlier: at for earlier, at in self.older.items() if earlier >= timeline})


def _bounded(pending: list[UUID]) -> tuple[UUID, ...]:
    """A partition's commands are applied in their order, so of too many the last of each partition stand for all."""
    pending = list(dict.fromkeys(pending))
    if len(pending) <= MOST_PENDING:
        return tuple(pending)
    last = set({partition_of(command_id): command_id for command_id in pending}.values())
    spare = [command_id for command_id in pending if command_id not in last]
    kept = last.union(spare[len(spare) + len(last) - MOST_PENDING :])
    return tuple(command_id for command_id in pending if command_id in kept)


def presented(request) -> Token | None:
    """The token of a request: its header, its browser's cookie, or what both have seen. A broken cookie is none."""
    header = request.META.get("HTTP_CONSISTENCY_TOKEN")
    cookie = request.COOKIES.get(COOKIE) if "HTTP_COOKIE" in request.META else None
    token = Token.decode(header) if header else None
    if not cookie:
        return token
    try:
        remembered = Token.decode(cookie)
    except BadToken:
        return token
    return token.merged(remembered) if token else remembered
