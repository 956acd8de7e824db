"""Idempotency keys: the first request with a key claims it in the log, and every other one works with its ids.

The truth is the unique key of an actor on the primary, in `cqrs_commandresult` and the inbox. Claims are a cache of it:
they need no trip to the primary, and know commands that are not applied yet.
claim, append, mark: whatever a crash cuts off between them, the repeat does again under the same command id, and
applying drops the double. Called by `submit` and `execute`.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from uuid import UUID

import orjson
from django.conf import settings

from socialapp.cqrs import keys, memory, valkey
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.ids import PARTITIONS
from socialapp.cqrs.models import InboxCommand
from socialapp.cqrs.problems import KEY_REUSED, IdempotencyKeyReused
from socialapp.cqrs.scripts import Script

# Both know id, actor_id, resource_id, idempotency_key and fingerprint.
Acceptable = Envelope | InboxCommand

# Only the first of several concurrent requests makes the claim; all of them are told what it says.
CLAIM = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) then return ARGV[1] end
return redis.call('GET', KEYS[1])
"""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"
# Seconds that a claim lives in a log that is half full: longer than its command waits and its client repeats.
SHORTEST = 600
# Until `ARGV[1]` microseconds from now, by the server's clock, the log may lack claims.
MISS_FOR = Script("""#!lua flags=allow-oom
local time = redis.call('TIME')
local till = time[1] * 1000000 + time[2] + ARGV[1]
if till > tonumber(redis.call('GET', KEYS[1]) or '0') then
    redis.call('SET', KEYS[1], string.format('%.0f', till))
end
""")
# Seconds between two notes of this process that claims live shorter, or were refused: much less than SHORTEST.
NOTED_EACH = 60.0
_note_again_at = 0.0


@dataclass(frozen=True, slots=True)
class Claim:
    """envelope: under the ids of whoever claimed the key first. logged: it is known to be in the log."""

    envelope: Envelope
    logged: bool = False


def claim(envelope: Envelope) -> Claim:
    """Raises IdempotencyKeyReused, or valkey.UNREACHABLE; the claim may then have been made, under the same ids."""
    if not envelope.idempotency_key:
        return Claim(envelope)
    ours, lifetime = _encode(envelope, logged=False), _lifetime()
    if lifetime < settings.IDEMPOTENCY_TTL:
        _note_that_claims_will_lack()
    held = orjson.loads(valkey.command_log().eval(CLAIM, 1, _key(envelope), ours, lifetime))
    require_same(envelope.fingerprint, held["fingerprint"])
    first = replace(envelope, id=UUID(held["command"]), resource_id=UUID(held["resource"]))
    return Claim(first, held["logged"])


def require_unclaimed(envelope: Envelope) -> None:
    """Raises IdempotencyKeyReused when another request holds the key. Claims nothing: a claim waits for the disk."""
    held = valkey.command_log().get(_key(envelope))
    if held:
        require_same(envelope.fingerprint, orjson.loads(held)["fingerprint"])


def mark(envelope: Envelope) -> None:
    """The command is in the log: a repeat need not append it again."""
    if not envelope.idempotency_key:
        return
    log, key, marked = valkey.command_log(), _key(envelope), _encode(envelope, logged=True)
    # `keepttl` alone would keep a claim for ever that has run out meanwhile.
    if not log.set(key, marked, xx=True, keepttl=True):
        log.set(key, marked, nx=True, ex=_lifetime())


def remember(accepted: Iterable[Acceptable]) -> None:
    """Claim the keys of commands that were accepted without the log. A full one leaves that to their rows."""
    keyed, lifetime = [one for one in accepted if one.idempotency_key], _lifetime()
    if not keyed:
        return
    pipeline = valkey.command_log().pipeline(transaction=False)
    for one in keyed:
        pipeline.set(_key(one), _encode(one, logged=True), nx=True, ex=lifetime)
    if memory.execute_spared(pipeline) or lifetime < settings.IDEMPOTENCY_TTL:
        _note_that_claims_will_lack()


def release(envelope: Envelope) -> None:
    """Take back the claim of a command that went elsewhere, unless it is in the log by now."""
    if envelope.idempotency_key:
        valkey.command_log().eval(RELEASE, 1, _key(envelope), _encode(envelope, logged=False))


def note_losses(newest: datetime | None, partitions: Iterable[int] = range(PARTITIONS)) -> None:
    """Note until when the log may lack claims, unless that is known; after a wipe nothing is.

    newest: when the newest command with a key was accepted that the primary has a result of, None if it has none. Its
    key, and all older ones, are forgotten IDEMPOTENCY_TTL later; until then `submit` asks the primary for new keys.
    """
    until = int((newest.timestamp() + settings.IDEMPOTENCY_TTL) * 1_000_000) if newest else 0
    pipeline = valkey.command_log().pipeline(transaction=False)
    for partition in partitions:
        pipeline.set(keys.lost_claims(partition), until, nx=True)
    memory.execute_spared(pipeline)


def _note_that_claims_will_lack() -> None:
    """A repeat may come after its claim is gone, but within IDEMPOTENCY_TTL: then the primary has to be asked.

    In every partition, as a repeat is given a new id. Raises valkey.UNREACHABLE.
    """
    global _note_again_at
    if time.monotonic() < _note_again_at:
        return
    # The note also covers the claims that are made until the next one.
    lasting = int((settings.IDEMPOTENCY_TTL + NOTED_EACH) * 1_000_000)
    lacking = [([keys.lost_claims(partition)], [lasting]) for partition in range(PARTITIONS)]
    MISS_FOR.run_all(valkey.command_log(), lacking)
    _note_again_at = time.monotonic() + NOTED_EACH


def may_have_lost_some() -> bool:
    """Whether the log does not know until when it may lack claims: it is new, or was wiped."""
    log = valkey.command_log()
    return not all(valkey.get_many(log, [keys.lost_claims(partition) for partition in range(PARTITIONS)]))


def require_same(fingerprint: str | None, first: str | None) -> None:
    if fingerprint != first:
        raise IdempotencyKeyReused(KEY_REUSED)


def _lifetime() -> int:
    """Seconds: IDEMPOTENCY_TTL while the log has much room. Afterwards applying finds the first row with the key."""
    return memory.lifetime(settings.IDEMPOTENCY_TTL, min(SHORTEST, settings.IDEMPOTENCY_TTL))


def _key(envelope: Acceptable) -> str:
    digest = blake2b(envelope.idempotency_key.encode(), digest_size=16).hexdigest()
    return keys.idempotency(envelope.actor_id, digest)


def _encode(envelope: Acceptable, *, logged: bool) -> bytes:
    return orjson.dumps(
        {
            "fingerprint": envelope.fingerprint,
            "command": envelope.id,
            "resource": envelope.resource_id,
            "logged": logged,
        }
    )
