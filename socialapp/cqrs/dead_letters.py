"""Dead letters: burying a command that kept failing, and what operators decide about it afterwards.

Used by apply, the admin and `manage.py dead_letters`. A decision is a command of its own, executed at once. The way
back into the log is crash-safe: the transaction that deletes the failed result leaves the letter `requeuing`, and
whoever finds it so (this process, or beat) appends it again; a double is dropped when it is applied.
"""

import logging
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

import orjson
from django.db.models import Count, Max, Min, QuerySet
from django.db.models.functions import Now

from socialapp.cqrs import log, payloads, valkey, waking
from socialapp.cqrs.commands import Envelope, UnknownCommand, command, find, handles
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.execute import Executed, execute
from socialapp.cqrs.ids import partition_of
from socialapp.cqrs.models import CommandResult, DeadLetter, DeadLetterStep
from socialapp.cqrs.problems import Invalid, NotFound, Problem

logger = logging.getLogger(__name__)

State, Action = DeadLetter.State, DeadLetterStep.Action
REPEAT_BATCH = 500
RETRIED = "The decision is recorded: the command is sent again every few seconds until the log takes it."


class AlreadyDecided(Problem):
    status, code, title = 409, "already_decided", "This dead letter does not wait for a decision"


@command("dead_letter")
class RequeueDeadLetter:
    """by: the operator's name. payload: JSON that replaces the letter's; None leaves it as it is."""

    by: str
    reason: str
    payload: str | None = None


@command("dead_letter")
class DiscardDeadLetter:
    by: str
    reason: str


def bury(envelope: Envelope, error: Exception, *, attempts: int) -> None:
    """Write the letter, or write over it when it was requeued and has failed again; in apply's transaction."""
    said = described(error)[:500]
    buried = {
        "type": envelope.type.name,
        "partition": partition_of(envelope.id),
        "envelope": _storable(orjson.loads(envelope.encode())),
        "error": said,
        "traceback": _storable("".join(traceback.format_exception(error))),
        "attempts": attempts,
        "buried_at": Now(),
        "state": State.BURIED,
    }
    DeadLetter.objects.update_or_create(command_id=envelope.id, defaults=buried)
    DeadLetterStep.objects.create(letter_id=envelope.id, action=Action.BURIED, by="worker", reason=said)


def described(error: Exception) -> str:
    """An error's class and message, as Postgres can store it, also of an error that cannot describe itself."""
    try:
        return _storable(f"{type(error).__name__}: {error}")
    except Exception:
        return type(error).__name__


def _storable(value: object) -> object:
    """Without null characters and halves of surrogate pairs, which Postgres refuses in text and JSON: they may be what
    the command failed of. An operator sees U+FFFD instead."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode(errors="replace").decode()
    if isinstance(value, list):
        return [_storable(one) for one in value]
    return {name: _storable(one) for name, one in value.items()} if isinstance(value, dict) else value


@dataclass(frozen=True, slots=True)
class Requeued:
    """A decision that is recorded. delayed: why the log does not have the command yet, for people; "" when it has."""

    executed: Executed
    delayed: str = ""


def requeue(
    letter_id: UUID, decision: RequeueDeadLetter, *, actor_id: UUID | None = None, token: Token | None = None
) -> Requeued:
    """Send a command back into the log under its own id and stamp. Raises the Problem of a refusal.

    When the log does not take it, the decision stands all the same, and beat carries it out.
    """
    executed = execute(decision, actor_id=actor_id, resource_id=letter_id, token=token)
    letter = DeadLetter.objects.using("default").filter(pk=letter_id, state=State.REQUEUING).first()
    if letter is None:
        return Requeued(executed)
    try:
        delayed = _append(letter)
    except valkey.UNREACHABLE as error:
        delayed = f"The command log does not take commands now ({error})."
    return Requeued(executed, f"{delayed} {RETRIED}" if delayed else "")


def discard(
    letter_id: UUID, decision: DiscardDeadLetter, *, actor_id: UUID | None = None, token: Token | None = None
) -> Executed:
    """Leave the command failed for good. Raises the Problem of a refusal."""
    return execute(decision, actor_id=actor_id, resource_id=letter_id, token=token)


def grouped(letters: QuerySet) -> QuerySet:
    """{type, kind, letters, first, last}: how many have failed alike, and when; the most frequent first."""
    counts = {"letters": Count("pk"), "first": Min("buried_at"), "last": Max("buried_at")}
    return letters.order_by().values("type", "kind").annotate(**counts).order_by("-letters", "type", "kind")


def append_left_behind() -> None:
    """Append what was decided by a process that died, or that lost the log, before the log had it.

    Each letter by itself: one that cannot be appended delays no other. Raises valkey.UNREACHABLE.
    """
    last = UUID(int=0)
    requeuing = DeadLetter.objects.using("default").filter(state=State.REQUEUING).order_by("pk")
    while letters := list(requeuing.filter(pk__gt=last)[:REPEAT_BATCH]):
        for letter in letters:
            delayed = _append(letter)
            if delayed:
                logger.warning("dead letter %s is not back in the log: %s", letter.pk, delayed)
        last = letters[-1].pk


def _append(letter: DeadLetter) -> str:
    """Why the log does not have it yet; "" when it has. Raises valkey.UNREACHABLE."""
    try:
        envelope = Envelope.decode(orjson.dumps(letter.envelope))
        # The outcome `failed` may still be in the log's memory, and an append does not replace a status.
        log.forget(envelope.id)
        appended = log.append(envelope, after_stamp=0)
    except UnknownCommand as error:
        return f"This server does not know the command: {error}."
    except log.Full:
        return f"Too many commands wait in partition {letter.partition} of the command log."
    except valkey.UNREACHABLE:
        raise
    except Exception:
        logger.exception("dead letter %s cannot be appended to the log", letter.pk)
        return "It cannot be appended to the command log; the worker's log says why."
    # Only if it has not been buried again meanwhile.
    DeadLetter.objects.filter(pk=letter.pk, state=State.REQUEUING).update(state=State.REQUEUED)
    if appended.wake:
        waking.wake_partition(letter.partition, appended.wake)
    return ""


@handles(RequeueDeadLetter)
def requeue_dead_letter(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope, letter in _waiting(envelopes, effects):
        try:
            changes = _edit(letter, envelope.command.payload)
        except Invalid as problem:
            effects.reject(envelope, problem)
            continue
        failed = CommandResult.objects.filter(pk=letter.pk, outcome=CommandResult.Outcome.FAILED)
        # A key is kept for a day; afterwards its actor may have used it for another command.
        letter.envelope["key"] = failed.values_list("idempotency_key", flat=True).first()
        failed.delete()
        letter.state = State.REQUEUING
        letter.save(update_fields=["envelope", "state"])
        _trace(envelope, letter, Action.EDITED if changes else Action.REQUEUED, changes)


@handles(DiscardDeadLetter)
def discard_dead_letter(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope, letter in _waiting(envelopes, effects):
        letter.state = State.DISCARDED
        letter.save(update_fields=["state"])
        _trace(envelope, letter, Action.DISCARDED)


def _waiting(envelopes: list[Envelope], effects: Effects) -> Iterable[tuple[Envelope, DeadLetter]]:
    """Each with its letter, locked; what is not buried is rejected."""
    for envelope in envelopes:
        letter = DeadLetter.objects.select_for_update(no_key=True).filter(pk=envelope.resource_id).first()
        if letter is None:
            effects.reject(envelope, NotFound("There is no such dead letter."))
        elif letter.state != State.BURIED:
            effects.reject(envelope, AlreadyDecided(f"This dead letter is {letter.state} already."))
        else:
            yield envelope, letter


def _edit(letter: DeadLetter, text: str | None) -> dict | None:
    """Replace the payload; {field: [before, after]} of what changed. Raises Invalid."""
    before = letter.envelope["payload"]
    after = letter.envelope["payload"] = checked(letter, orjson.dumps(before).decode() if text is None else text)
    names = sorted(before.keys() | after.keys())
    return {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}


def checked(letter: DeadLetter, text: str) -> dict:
    """The payload that `text` (JSON) is for the letter's command. Raises Invalid."""
    try:
        declared = find(letter.type, letter.envelope["version"])
    except UnknownCommand as error:
        raise Invalid(f"{error} is not known here (any more).") from error
    payload, aggregate = payloads.parse(declared, text), declared.aggregate
    if aggregate and payload[aggregate] != letter.envelope["payload"][aggregate]:
        # Its id, and so its partition, were chosen for that aggregate, whose commands keep their order there.
        raise Invalid(f"{aggregate}: a command stays with the thing that it was meant for.")
    return payload


def _trace(envelope: Envelope, letter: DeadLetter, action: str, changes: dict | None = None) -> None:
    DeadLetterStep.objects.create(
        letter=letter,
        action=action,
        by=envelope.command.by,
        actor_id=envelope.actor_id,
        reason=envelope.command.reason,
        changes=changes or None,
    )
