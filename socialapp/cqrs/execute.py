"""The synchronous way in: one command, one transaction on the primary, the outcome in the answer.

Registration and everything of orders go this way. Handlers, results, events and tokens are those of `submit`.
"""

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db import Error, connections, transaction
from psycopg.errors import ForeignKeyViolation

from socialapp.cqrs import claims, clocks, effects, events, roles, servers, settle, statements, submit, valkey
from socialapp.cqrs.breaker import Open
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.effects import Claimed, Effects
from socialapp.cqrs.failures import is_infrastructure
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.models import CommandResult
from socialapp.cqrs.problems import KEY_REUSED, AccountGone, IdempotencyKeyReused, Problem, Unavailable

logger = logging.getLogger(__name__)

# Classes of SQLSTATE: of a connection that breaks, and those after which a commit may have happened, as 57 is what
# somebody or something ended.
LOST = "08"
UNCERTAIN = (LOST, "57")
# Writes claims after the answer: the log's fsync would take a tenth of an order's time.
later = ThreadPoolExecutor(1, "claims")
# (timeline, position) of the primary.
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Performed:
    """What one transaction did. envelopes: with their stamp; place: of the primary at the commit, None if unknown."""

    envelopes: list[Envelope]
    effects: Effects
    place: Place | None


@dataclass(frozen=True, slots=True)
class Executed:
    """A command that has been applied, and the token that shows its effect.

    answer: what its handler said of the effect; None when it said nothing, or when the command is replayed.
    """

    command_id: UUID
    resource_id: UUID
    token: Token
    replayed: bool = False
    answer: object = None


def execute(
    command: object,
    *,
    actor_id: UUID | None,
    resource_id: UUID | None = None,
    idempotency_key: str | None = None,
    fingerprint: str | None = None,
    token: Token | None = None,
) -> Executed:
    """Apply `command` now. Raises the Problem with which it is rejected; then nothing changed.

    Raises StampAhead for a token from a wrong clock, and Unavailable: nothing changed either, or the primary was lost
    at the commit, and its text says so.
    """
    roles.require_write(type(command).__name__)
    envelope = _envelope(command, actor_id, resource_id or new_id(), idempotency_key, fingerprint)
    performed = None if _is_claimed_by_another(envelope) else _perform([envelope], token)
    if performed is None:
        return _replay(envelope, token)
    if idempotency_key:
        later.submit(_claim_in_the_log, envelope)
    found = performed.effects
    if envelope.id in found.problems:
        raise found.problems[envelope.id]
    seen = _token_after(performed, token)
    return Executed(envelope.id, envelope.resource_id, seen, answer=found.answers.get(envelope.id))


def execute_batch(
    commands: Mapping[UUID, object], *, actor_id: UUID | None, token: Token | None = None
) -> tuple[dict[UUID, Problem], Token]:
    """Apply a command on each resource, all in one transaction; (problems of those that were refused, token).

    A refusal is that command's own: the others are applied. Raises Unavailable, as `execute` does.
    """
    roles.require_write("execute_batch")
    # In the order of their ids, so that two batches that lock the same rows cannot deadlock.
    envelopes = [_envelope(commands[resource_id], actor_id, resource_id) for resource_id in sorted(commands)]
    performed = _perform(envelopes, token)
    refused = performed.effects.problems
    problems = {one.resource_id: refused[one.id] for one in envelopes if one.id in refused}
    return problems, _token_after(performed, token)


def _is_claimed_by_another(envelope: Envelope) -> bool:
    """Whether the log knows the key as another request's, which may be accepted and not applied yet.

    Best effort: without the log, the primary alone decides, and of two requests the one that it learns of last is
    rejected.
    """
    if not envelope.idempotency_key:
        return False
    try:
        with submit.breaker:
            if submit.breaker.is_open:
                valkey.greet(valkey.command_log(), within=submit.GREETING)
            claims.require_unclaimed(envelope)
    except IdempotencyKeyReused:
        return True
    except valkey.UNREACHABLE as error:
        if not isinstance(error, Open):
            logger.warning("the command log was not asked for an idempotency key: %s", error)
    return False


def _claim_in_the_log(envelope: Envelope) -> None:
    """So that `submit` refuses the key for another request at once; where this is lost, the drain rejects that one."""
    with suppress(IdempotencyKeyReused, *valkey.UNREACHABLE), submit.breaker:
        claims.claim(envelope)


def _envelope(command: object, actor_id: UUID | None, resource_id: UUID, *idempotency) -> Envelope:
    """Without a stamp: the primary's clock gives it, with the claim."""
    return Envelope(new_id(partition_of(resource_id)), command, actor_id, resource_id, 0, *idempotency)


def _perform(envelopes: list[Envelope], token: Token | None) -> Performed | None:
    """What they did; None when the idempotency key of the only one has been used.

    A rejection is remembered, its effects are not. Without a place, the commit has happened and its position is not
    known. Raises StampAhead; then nothing is claimed.
    """
    committing, performed = False, None
    try:
        with transaction.atomic(durable=True):
            # Whoever waits for the answer is told at once what is missing.
            found = Effects(impatient={envelope.id for envelope in envelopes}, alone=len(envelopes) == 1)
            claimed = _claim(envelopes, found)
            stamp = clocks.stamp_after(token.stamp if token else 0, claimed.now)
            if not claimed.ids:
                return None
            stamped = [replace(envelope, stamp=stamp) for envelope in envelopes]
            found.now = claimed.now
            effects.perform(stamped, found)
            committing = True
            performed = Performed(stamped, found, _commit(found))
    except Error as error:
        if performed is None and not is_infrastructure(error):
            _require_actor(envelopes, error)
            raise
        # Also of a server that answers: it may have become a replica.
        connections["default"].close()
        if performed is None:
            raise Unavailable(_told(error, committing)) from error
        logger.warning("the primary failed after a commit: %s", error)
    return performed


def _require_actor(envelopes: list[Envelope], error: Error) -> None:
    """Raises AccountGone when a foreign key failed because the actor has no account."""
    actor_id = envelopes[0].actor_id
    if not actor_id or not isinstance(error.__cause__, ForeignKeyViolation):
        return
    if not get_user_model().objects.using("default").filter(pk=actor_id).exists():
        raise AccountGone() from error


def _told(error: Exception, committing: bool) -> str:
    state = getattr(error.__cause__, "sqlstate", None) or LOST
    if committing and state.startswith(UNCERTAIN):
        return "The primary database was lost at the commit. The same Idempotency-Key does nothing twice."
    if state.startswith(LOST):
        return "The primary database cannot be reached; nothing was changed."
    return "The primary database could not do it just now; nothing was changed."


def _claim(envelopes: list[Envelope], found: Effects) -> Claimed:
    if found.alone:
        return effects.claim_and_begin(envelopes[0], found)
    return effects.claim_results(envelopes)


def _commit(found: Effects) -> Place | None:
    """Write what is left, commit, and ask where the primary is then: one trip, as nobody waits in between.

    Returns None when the commit has happened and the question failed.
    """
    committed = None
    try:
        with statements.cursor() as cursor:
            with statements.pipeline():
                for statement in found.last:
                    cursor.execute(*statement)
                if found.events:
                    events.append(found.events)
                # By Django, at the end of `atomic`, it would be a trip of its own.
                committed = statements.commit()
                cursor.execute(servers.PLACE)
            return cursor.fetchone()
    except Error as error:
        if committed is None or not committed.happened:
            raise
        logger.warning("the position of a commit could not be read: %s", error)
        return None


def _token_after(performed: Performed, token: Token | None) -> Token:
    """Return the token that shows the effect. It awaits the commands when an invalidation is not confirmed."""
    place, stamps = performed.place, [envelope.stamp for envelope in performed.envelopes]
    seen = (token or Token()).merged(Token(*(place or (0, 0)), max(stamps, default=0)))
    if place and settle.settle_committed([recorded.event for recorded in performed.effects.events], *place):
        return seen
    for envelope in performed.envelopes:
        seen = seen.awaiting(envelope.id, envelope.stamp)
    return seen


def _replay(envelope: Envelope, token: Token | None) -> Executed:
    """Give the first answer again. Raises IdempotencyKeyReused when the key is another request's, also of one that is
    accepted and not applied yet."""
    same = {"actor_id": envelope.actor_id, "idempotency_key": envelope.idempotency_key}
    first = CommandResult.objects.using("default").filter(**same).first()
    if first is None or first.fingerprint != envelope.fingerprint:
        raise IdempotencyKeyReused(KEY_REUSED)
    if first.problem:
        raise Problem.from_document(first.problem)
    return Executed(first.pk, first.resource_id, _token_again(first.pk, token), replayed=True)


def _token_again(command_id: UUID, token: Token | None) -> Token:
    """Return the token of a command that was executed before; its server may have died before it invalidated."""
    seen, settled = token or Token(), settle.settle_again(command_id)
    if settled is None:
        return seen.awaiting(command_id, 0)
    seen = seen.merged(Token(settled.timeline, settled.position))
    return seen if settled.confirmed else seen.awaiting(command_id, 0)
