"""Accepting a write: into the durable log, or the inbox on the primary, answered before it is applied. Called by write
views only."""

import logging
import time
from dataclasses import dataclass
from hashlib import blake2b
from secrets import randbelow
from uuid import UUID
from zlib import crc32

import orjson
from django.db import connections
from redis.exceptions import OutOfMemoryError

from socialapp.cqrs import claims, commands, inbox, log, roles, valkey, waking
from socialapp.cqrs.breaker import Breaker, Open
from socialapp.cqrs.claims import Claim
from socialapp.cqrs.clocks import StampAhead
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.deadlines import answered_within
from socialapp.cqrs.ids import PARTITIONS, new_id, partition_of
from socialapp.cqrs.inbox import Kept
from socialapp.cqrs.problems import IdempotencyKeyReused, Overloaded, Unavailable
from socialapp.cqrs.routing import DOWN, PRIMARY

logger = logging.getLogger(__name__)

# Seconds; at 500 commands per batch a partition that is full has made room by then.
RETRY_WHEN_FULL = 2
# Seconds. The log has to come back first.
RETRY_WHEN_INBOX_IS_FULL = 10
# Writes would rather wait two seconds for an fsync than fail; but not each of them, for a log that is frozen.
# Seconds for whoever finds out whether it has thawed.
GREETING = 0.1
breaker = Breaker(open_for=(0.5, 1.5), probe=3.0)
# Asking the primary for an idempotency key that the log cannot know.
primary_for_keys = Breaker(open_for=(0.5, 1.5), probe=2 * inbox.GLANCE)
REASONS = {
    log.Full: "More writes wait than can be applied soon.",
    log.OverQuota: "More of your writes wait than can be applied soon; the next will be taken when they are.",
    inbox.Full: "Writes wait until the command log is back, and there is no room for more.",
    inbox.OverQuota: "Writes wait until the command log is back, and there is no room for more of yours.",
}
# Seconds between two lines in the log that say the same.
SAID_EACH = 10.0
_say_again_at = 0.0


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

    When the log does not answer, the inbox takes it, under the same ids: an append that timed out may have happened.
    Raises IdempotencyKeyReused, StampAhead for a token from a wrong clock, Overloaded when too many commands wait, or
    Unavailable when neither answers; then the command may or may not be applied, and repeating the request with the
    same key is safe.
    """
    roles.require_write(type(command).__name__)
    token = token or Token()
    command_id, resource_id = _fresh_ids(command, resource_id, idempotency_key)
    envelope = Envelope(
        command_id, command, actor_id, resource_id, idempotency_key=idempotency_key, fingerprint=fingerprint
    )
    try:
        with breaker:
            if breaker.is_open:
                valkey.greet(valkey.command_log(), within=GREETING)
            claim = _claimed(envelope)
            earlier = _earlier(claim, envelope)
            envelope = earlier or claim.envelope
            appended, envelope = (None, earlier) if earlier else _append(envelope, token.stamp)
    except (log.NoRoom, OutOfMemoryError) as error:
        breaker.close()
        _say_that_the_log_is_full(error)
        return _past_the_full_log(envelope, token)
    except log.Full as error:
        # It answered: nobody need go to the inbox.
        breaker.close()
        raise Overloaded(REASONS[type(error)], retry_after=RETRY_WHEN_FULL) from error
    except StampAhead:
        breaker.close()
        raise
    except valkey.UNREACHABLE as error:
        # One line per failure, not per command that goes straight to the inbox after it.
        if not isinstance(error, Open):
            logger.warning("the command log did not take a command: %s", error)
        return _into_inbox(envelope, token)
    if appended is None:
        return _accepted(envelope, token, token.stamp, replayed=True)
    _finish(envelope, appended)
    return _accepted(envelope, token, appended.stamp)


def _append(envelope: Envelope, after_stamp: int) -> tuple[log.Appended | None, Envelope]:
    """(what the log says, the same), or (None, the first command with the key) when only the primary knows that."""
    new_key = envelope.idempotency_key is not None
    try:
        return log.append(envelope, after_stamp=after_stamp, new_key=new_key), envelope
    except log.UnknownKey:
        kept = _first_of_the_primary(envelope, partition_of(envelope.id))
        if kept:
            return None, _settle_claim(kept, envelope)
        return log.append(envelope, after_stamp=after_stamp), envelope


def _finish(envelope: Envelope, appended: log.Appended) -> None:
    """Mark the claim and wake a worker. Raises nothing: the command is accepted, and whoever repeats it, or beat's next
    tick, does what failed here."""
    try:
        _mark(envelope)
        if appended.wake:
            waking.wake_partition(partition_of(envelope.id), appended.wake)
    except Exception:
        logger.exception("command %s is in the log; what follows its acceptance failed", envelope.id)


def _claimed(envelope: Envelope) -> Claim:
    """The claim of the first request with the key. Raises IdempotencyKeyReused.

    A claim of another request is checked against the primary, whose row decides: the other one may have been refused.
    """
    try:
        return claims.claim(envelope)
    except IdempotencyKeyReused:
        kept = _first_of_the_primary(envelope)
        if kept is None:
            raise
        return Claim(_settle_claim(kept, envelope), logged=True)


def _first_of_the_primary(envelope: Envelope, *lacking: int) -> Kept | None:
    """None also when the primary does not answer: then it is not asked again for a while, as each would wait for it.

    lacking: partitions that do not know until when they lack claims.
    """
    if not primary_for_keys.admits():
        return None
    try:
        with answered_within(inbox.GLANCE):
            kept = inbox.first(envelope)
            if lacking:
                claims.note_losses(inbox.newest_key(), lacking)
    except DOWN as error:
        primary_for_keys.trip()
        connections[PRIMARY].close()
        logger.warning("the primary was not asked for an idempotency key: %s", error)
        return None
    primary_for_keys.close()
    return kept


def _settle_claim(kept: Kept, ours: Envelope) -> Envelope:
    """Correct the claim after the primary's row. Raises IdempotencyKeyReused when it is of another request."""
    claims.mark(kept.envelope)
    claims.require_same(ours.fingerprint, kept.envelope.fingerprint)
    return kept.envelope


def _earlier(claim: Claim, ours: Envelope) -> Envelope | None:
    """What an earlier request with the same key has put into the log, or into the inbox while the log was down."""
    if claim.logged:
        return claim.envelope
    kept = inbox.glance(ours) if claim.envelope.id == ours.id else None
    return kept and _settle_claim(kept, ours)


def _past_the_full_log(envelope: Envelope, token: Token) -> Accepted:
    """Into the inbox, which remembers idempotency keys itself: a claim would only take room from the log."""
    accepted = _into_inbox(envelope, token)
    try:
        claims.release(envelope)
    except valkey.UNREACHABLE as error:
        logger.warning("a claim of an idempotency key was left in the full log: %s", error)
    return accepted


def _into_inbox(envelope: Envelope, token: Token) -> Accepted:
    try:
        kept = inbox.put(envelope, after_stamp=token.stamp)
    except inbox.Full as error:
        raise Overloaded(REASONS[type(error)], retry_after=RETRY_WHEN_INBOX_IS_FULL) from error
    except DOWN as error:
        connections[PRIMARY].close()
        logger.error("neither the log nor the inbox took a command: %s", error)
        raise Unavailable("The write could not be accepted.") from error
    claims.require_same(envelope.fingerprint, kept.envelope.fingerprint)
    return _accepted(kept.envelope, token, kept.stamp, replayed=kept.replayed)


def _say_that_the_log_is_full(error: Exception) -> None:
    """One line in SAID_EACH seconds: nearly every write meets it."""
    global _say_again_at
    now = time.monotonic()
    if now >= _say_again_at:
        _say_again_at = now + SAID_EACH
        logger.error("the command log is full; the inbox takes the writes: %s", error)


def fingerprint_of(*parts: object) -> str:
    """Names a request, so that another one under the same idempotency key is noticed."""
    return blake2b(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS, default=str), digest_size=16).hexdigest()


def _accepted(envelope: Envelope, token: Token, stamp: int, *, replayed: bool = False) -> Accepted:
    awaiting = token.awaiting(envelope.id, stamp)
    kind = envelope.type
    return Accepted(envelope.id, kind.name, kind.resource, envelope.resource_id, awaiting, replayed)


def _fresh_ids(command: object, resource_id: UUID | None, idempotency_key: str | None) -> tuple[UUID, UUID]:
    """For the command and its resource, in the partition of its aggregate.

    A new aggregate gets a random one, but a key always the same: should one key lead to two commands, one in the log
    and one in the inbox, then they are applied in their order, and the first counts.
    """
    aggregate = commands.type_of(command).aggregate
    anchor = getattr(command, aggregate) if aggregate else resource_id
    if anchor:
        partition = partition_of(UUID(str(anchor)))
    else:
        partition = crc32(idempotency_key.encode()) % PARTITIONS if idempotency_key else randbelow(PARTITIONS)
    return new_id(partition), resource_id or new_id(partition)


def _mark(envelope: Envelope) -> None:
    """The command is accepted already: without the mark, a repeat only appends a double, which is dropped."""
    try:
        with breaker:
            claims.mark(envelope)
    except valkey.UNREACHABLE as error:
        logger.warning("an idempotency key was not marked: %s", error)
