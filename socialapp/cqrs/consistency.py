"""Consistency tokens: what a client has written, signed, so that its reads are never older than that."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b, sha512
from hmac import compare_digest
from operator import attrgetter
from uuid import UUID

import orjson
from django.conf import settings
from django.core import signing

from socialapp.cqrs import server_time
from socialapp.cqrs.commands import LARGEST_STAMP
from socialapp.cqrs.problems import Problem

HEADER = "Consistency-Token"
# The names of all cookies of tokens begin so (http/token_cookies.py). A cookie of an earlier deploy has just this name.
COOKIE = "consistency_token"
# After an hour every replica and every list has seen a write; a browser need not bypass the gateway for longer.
COOKIE_AGE = 3600
# A token of some 2 KB; a cookie holds four.
MOST_PENDING = 32
# Seconds for which a token says that it has dropped commands: as long as a browser keeps it.
LOSS_AGE = COOKIE_AGE

# What a server can have given: timelines and positions as Postgres counts them, stamps as the log's scripts do.
LARGEST_TIMELINE = 2**32 - 1
LARGEST_POSITION = 2**63 - 1

# What the fields of an encoded token are when a server of an earlier deploy did not give them.
ABSENT = (0, 0, 0, (), {}, 0, "")

# Signs all of a token. Every pool knows the key: a reader answers with what a token has become, and what it may change
# (positions, pending commands) only decides which server a client's own reads are served from.
# Reads SECRET_KEY_FALLBACKS too: a token outlives the key that it was signed with.
_signer = signing.Signer(salt="socialapp.consistency")


class BadToken(Problem):
    status, code, title = 400, "invalid_consistency_token", "The consistency token is not one of ours"


@dataclass(frozen=True, slots=True)
class Token:
    """position: highest commit position (bytes of WAL) on `timeline`; stamp: highest stamp (microseconds).

    pending: commands, in the order of their acceptance, whose effect is not known to be in `position` and out of the
    cache. older: the highest position on each earlier timeline, until a read has found out what became of it.
    lost_at: when pending commands were last dropped because there were too many (Unix seconds), else 0. stamp_proof:
    shows to processes that may write that one of them has given the stamp; the others can neither make nor check it.
    """

    timeline: int = 0
    position: int = 0
    stamp: int = 0
    pending: tuple[UUID, ...] = ()
    older: dict[int, int] = field(default_factory=dict)
    lost_at: int = 0
    stamp_proof: str = field(default="", compare=False)

    @property
    def is_full(self) -> bool:
        """Whether more commands are pending than the encoded token can name."""
        return len(self.pending) > MOST_PENDING

    @property
    def skips_cache(self) -> bool:
        """Whether the cache may lack one of the client's writes."""
        return bool(self.pending or self.lost_at)

    def encode(self) -> str:
        """Names the newest MOST_PENDING commands. When there are more, the token says that it lost some.

        The last of a partition does not stand for those before it: they may be deferred, or out of order, because they
        were executed; and an earlier one's invalidation may not be confirmed while the later one's is.
        """
        lost_at = server_time.nanoseconds() // 10**9 if self.is_full else self.lost_at
        older = {str(timeline): position for timeline, position in self.older.items()}
        pending = [command_id.hex for command_id in self.pending[-MOST_PENDING:]]
        proof = _proofs(self.stamp)[0] if settings.STAMP_KEYS and self.stamp else self.stamp_proof
        # Without a proof, a stamp would be of no use to whoever gets it.
        stamp = self.stamp if proof else 0
        body = orjson.dumps([self.timeline, self.position, stamp, pending, older, lost_at, proof])
        return _signer.sign(signing.b64_encode(body).decode())

    @classmethod
    def decode(cls, text: str) -> "Token":
        """Raises BadToken when the signature does not hold, or for numbers that no server can have given."""
        try:
            body = signing.b64_decode(_signer.unsign(text).encode())
            fields = orjson.loads(body)
            timeline, position, stamp, pending, older, lost_at, proof = [*fields, *ABSENT[len(fields) :]]
            pending = tuple(UUID(command_id) for command_id in pending)
            older = {int(timeline): position for timeline, position in older.items()}
            token = cls(timeline, position, stamp, pending, older, lost_at, proof)
            token.require_range()
        except (signing.BadSignature, ValueError, TypeError, AttributeError) as error:
            raise BadToken() from error
        return token if token._stamp_is_ours() else replace(token, stamp=0, stamp_proof="")

    def _stamp_is_ours(self) -> bool:
        """Whether a process that may write has given the stamp, as far as this process can tell."""
        if not settings.STAMP_KEYS or not self.stamp:
            return True
        return any(compare_digest(self.stamp_proof, proof) for proof in _proofs(self.stamp))

    def require_range(self) -> None:
        """Raises ValueError, or TypeError for what is no number."""
        positions = {self.timeline: self.position, **self.older}
        if not all(0 <= timeline <= LARGEST_TIMELINE for timeline in positions):
            raise ValueError("no timeline")
        if not all(0 <= position <= LARGEST_POSITION for position in positions.values()):
            raise ValueError("no position")
        if not (0 <= self.stamp <= LARGEST_STAMP and 0 <= self.lost_at <= LARGEST_TIMELINE):
            raise ValueError("no time")
        if self.is_full:
            raise ValueError("too many commands")
        if not (isinstance(self.stamp_proof, str) and self.stamp_proof.isascii()):
            raise ValueError("no proof")

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
        pending = tuple(dict.fromkeys([*self.pending, *other.pending]))
        older = {timeline: position for timeline, position in older.items() if position}
        lost_at = max(self.lost_at, other.lost_at)
        later = max(self, other, key=attrgetter("stamp"))
        return Token(timeline, position, later.stamp, pending, older, lost_at, later.stamp_proof)

    def awaiting(self, command_id: UUID, stamp: int) -> "Token":
        pending = tuple(dict.fromkeys([*self.pending, command_id]))
        return replace(self, stamp=max(self.stamp, stamp), pending=pending)

    def without(self, command_ids: Iterable[UUID]) -> "Token":
        done = set(command_ids)
        return replace(self, pending=tuple(c for c in self.pending if c not in done))

    def without_old_losses(self) -> "Token":
        """Forget dropped commands after LOSS_AGE, as a browser forgets its cookie."""
        return replace(self, lost_at=0) if self.lost_at < server_time.nanoseconds() / 1e9 - LOSS_AGE else self

    def since(self, timeline: int) -> "Token":
        """Without the positions on timelines before `timeline`."""
        if self.timeline < timeline:
            return replace(self, timeline=timeline, position=0, older={})
        return replace(self, older={earlier: at for earlier, at in self.older.items() if earlier >= timeline})


def _proofs(stamp: int) -> list[str]:
    """What proves a stamp, by each of STAMP_KEYS. Writers follow stamps, so readers do not know the keys.

    A keyed hash and no signature: nobody but writers has to check it, and it takes 2 us where Ed25519 takes 100.
    """
    return [blake2b(b"%d" % stamp, key=_derived(key), digest_size=16).hexdigest() for key in settings.STAMP_KEYS]


@lru_cache
def _derived(key: str) -> bytes:
    return sha512(b"socialapp.stamp:" + key.encode()).digest()
