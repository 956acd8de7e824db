"""Consistency tokens: what a client has written, signed, so that its reads are never older than that."""

from dataclasses import dataclass, field, replace
from uuid import UUID

import orjson
from django.core import signing

from socialapp.cqrs.problems import Problem

HEADER = "Consistency-Token"
COOKIE = "consistency_token"
# After an hour every replica and every list has seen a write; a browser need not bypass the gateway for longer.
COOKIE_AGE = 3600
# One per partition.
MOST_PENDING = 16

_signer = signing.Signer(salt="socialapp.consistency")


class BadToken(Problem):
    status, code, title = 400, "invalid_consistency_token", "The consistency token is not one of ours"


@dataclass(frozen=True, slots=True)
class Token:
    """position: highest commit position (bytes of WAL) on `timeline`; stamp: highest stamp (microseconds).

    pending: per partition the last command whose effect is not known to be in `position` and out of the cache.
    """

    timeline: int = 0
    position: int = 0
    stamp: int = 0
    pending: dict[int, UUID] = field(default_factory=dict)

    def encode(self) -> str:
        pending = {f"{partition:x}": str(command_id) for partition, command_id in self.pending.items()}
        body = orjson.dumps([self.timeline, self.position, self.stamp, pending])
        return _signer.sign(signing.b64_encode(body).decode())

    @classmethod
    def decode(cls, text: str) -> "Token":
        """Raises BadToken when the signature does not hold."""
        try:
            timeline, position, stamp, pending = orjson.loads(signing.b64_decode(_signer.unsign(text).encode()))
            pending = {int(partition, 16): UUID(command_id) for partition, command_id in pending.items()}
        except (signing.BadSignature, ValueError) as error:
            raise BadToken() from error
        return cls(timeline, position, stamp, pending)

    def merged(self, other: "Token") -> "Token":
        """What a client has seen that has seen both. Positions of different timelines do not compare."""
        newer, older = (self, other) if self.timeline >= other.timeline else (other, self)
        position = max(newer.position, older.position) if newer.timeline == older.timeline else newer.position
        return Token(newer.timeline, position, max(self.stamp, other.stamp), self.pending | other.pending)

    def awaiting(self, partition: int, command_id: UUID, stamp: int) -> "Token":
        return replace(self, stamp=max(self.stamp, stamp), pending={**self.pending, partition: command_id})

    def without(self, settled: set[int]) -> "Token":
        return replace(self, pending={p: c for p, c in self.pending.items() if p not in settled})


def presented(request) -> Token | None:
    """The token of a request: its header, else the browser's cookie. A broken cookie is as good as none."""
    header = request.META.get("HTTP_CONSISTENCY_TOKEN")
    if header:
        return Token.decode(header)
    cookie = request.COOKIES.get(COOKIE) if "HTTP_COOKIE" in request.META else None
    if not cookie:
        return None
    try:
        return Token.decode(cookie)
    except BadToken:
        return None
