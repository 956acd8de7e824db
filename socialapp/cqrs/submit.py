"""Accepting a write: into the durable log, answered before it is applied. Called by write views only."""

import logging
from dataclasses import dataclass
from hashlib import blake2b
from secrets import randbelow
from uuid import UUID

import orjson

from socialapp.cqrs import claims, commands, log, roles, valkey, waking
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.ids import PARTITIONS, new_id, partition_of
from socialapp.cqrs.problems import Overloaded, Unavailable

logger = logging.getLogger(__name__)

# Seconds; at 500 commands per batch a partition that is full has made room by then.
RETRY_WHEN_FULL = 2


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command that is on disk. replayed: an earlier request with the same key had put it there."""

    command_id: UUID
    command_type: str
    resource_type: str
    resource_id: UUID
    token: Token
    replayed: bool = False


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

    Raises IdempotencyKeyReused, Overloaded when too many commands wait, or Unavailable when the log does not answer;
    then the command may or may not be applied, and repeating the request with the same key is safe.
    """
    roles.require_write(type(command).__name__)
    token = token or Token()
    command_id, resource_id = _fresh_ids(command, resource_id)
    fresh = Envelope(
        command_id, command, actor_id, resource_id, idempotency_key=idempotency_key, fingerprint=fingerprint
    )
    try:
        claim = claims.claim(fresh)
        envelope = claim.envelope
        if claim.logged:
            return _accepted(envelope, token, token.stamp, replayed=True)
        appended = log.append(envelope, after_stamp=token.stamp)
    except log.Full as error:
        raise Overloaded("More writes wait than can be applied soon.", retry_after=RETRY_WHEN_FULL) from error
    except valkey.UNREACHABLE as error:
        logger.error("the command log did not take a command: %s", error)
        raise Unavailable("The write could not be accepted.") from error
    _mark(envelope)
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


def _fresh_ids(command: object, resource_id: UUID | None) -> tuple[UUID, UUID]:
    """For the command and its resource. A command takes its aggregate's partition; a new aggregate, a random one."""
    aggregate = commands.type_of(command).aggregate
    anchor = getattr(command, aggregate) if aggregate else resource_id
    partition = partition_of(UUID(str(anchor))) if anchor else randbelow(PARTITIONS)
    return new_id(partition), resource_id or new_id(partition)


def _mark(envelope: Envelope) -> None:
    """The command is accepted already: without the mark, a repeat only appends a double, which is dropped."""
    try:
        claims.mark(envelope)
    except valkey.UNREACHABLE as error:
        logger.warning("an idempotency key was not marked: %s", error)
