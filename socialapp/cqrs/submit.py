"""Accepting a write: into the durable log, answered before it is applied. Called by write views only."""

import logging
from dataclasses import dataclass
from hashlib import blake2b
from secrets import randbelow
from uuid import UUID

import orjson
from django.conf import settings

from socialapp.cqrs import commands, keys, log, roles, valkey, waking
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.ids import PARTITIONS, new_id, partition_of
from socialapp.cqrs.problems import IdempotencyKeyReused, Unavailable

logger = logging.getLogger(__name__)

# The claim of an idempotency key: {fingerprint, command, resource, logged}. Only the first of several
# concurrent requests makes it; all of them then work with its ids.
CLAIM = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) then return ARGV[1] end
return redis.call('GET', KEYS[1])
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command that is on disk. replayed: an earlier request with the same key had put it there."""

    command_id: UUID
    command_type: str
    resource_type: str
    resource_id: UUID
    token: Token
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    command_id: UUID
    resource_id: UUID
    logged: bool = False


def submit(
    command: object,
    *,
    actor_id: UUID,
    resource_id: UUID | None = None,
    idempotency_key: str | None = None,
    fingerprint: str | None = None,
    token: Token | None = None,
) -> Accepted:
    """Append `command` to the log. Without `resource_id` it makes a new thing, whose id is assigned here.

    Raises IdempotencyKeyReused, or Unavailable when the log does not answer; then the command may or may not
    be applied, and repeating the request with the same key is safe.
    """
    roles.require_write(type(command).__name__)
    token = token or Token()
    try:
        claim = _claim(command, actor_id, resource_id, idempotency_key, fingerprint)
        envelope = Envelope(
            claim.command_id,
            command,
            actor_id,
            claim.resource_id,
            idempotency_key=idempotency_key,
            fingerprint=fingerprint,
        )
        if claim.logged:
            return _accepted(envelope, token, token.stamp, replayed=True)
        appended = log.append(envelope, after_stamp=token.stamp)
        if idempotency_key:
            _mark_logged(actor_id, idempotency_key, fingerprint, claim)
    except valkey.UNREACHABLE as error:
        logger.error("the command log did not take a command: %s", error)
        raise Unavailable("The write could not be accepted.") from error
    if appended.woke:
        waking.wake_partition(partition_of(envelope.id))
    return _accepted(envelope, token, appended.stamp)


def fingerprint_of(*parts: object) -> str:
    """Names a request, so that another one under the same idempotency key is noticed."""
    return blake2b(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS, default=str), digest_size=16).hexdigest()


def _accepted(envelope: Envelope, token: Token, stamp: int, *, replayed: bool = False) -> Accepted:
    awaiting = token.awaiting(envelope.id, stamp)
    kind = envelope.type
    return Accepted(envelope.id, kind.name, kind.resource, envelope.resource_id, awaiting, replayed)


def _fresh_ids(command: object, resource_id: UUID | None) -> Claim:
    """A command takes the partition of its aggregate; a new aggregate takes a random one."""
    aggregate = commands.type_of(command).aggregate
    anchor = getattr(command, aggregate) if aggregate else resource_id
    partition = partition_of(UUID(str(anchor))) if anchor else randbelow(PARTITIONS)
    return Claim(new_id(partition), resource_id or new_id(partition))


def _idempotency_key(actor_id: UUID, key: str) -> str:
    return keys.idempotency(actor_id, blake2b(key.encode(), digest_size=16).hexdigest())


def _claim(command, actor_id, resource_id, key, fingerprint) -> Claim:
    fresh = _fresh_ids(command, resource_id)
    if not key:
        return fresh
    ours = _encode_claim(fresh, fingerprint, logged=False)
    held = valkey.command_log().eval(CLAIM, 1, _idempotency_key(actor_id, key), ours, settings.IDEMPOTENCY_TTL)
    document = orjson.loads(held)
    if document["fingerprint"] != fingerprint:
        raise IdempotencyKeyReused("An Idempotency-Key stands for one request; use a new one for another.")
    return Claim(UUID(document["command"]), UUID(document["resource"]), document["logged"])


def _mark_logged(actor_id: UUID, key: str, fingerprint: str | None, claim: Claim) -> None:
    body = _encode_claim(claim, fingerprint, logged=True)
    valkey.command_log().set(_idempotency_key(actor_id, key), body, keepttl=True)


def _encode_claim(claim: Claim, fingerprint: str | None, *, logged: bool) -> bytes:
    return orjson.dumps(
        {"fingerprint": fingerprint, "command": claim.command_id, "resource": claim.resource_id, "logged": logged}
    )
