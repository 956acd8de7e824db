"""Applying: batches from the log, each in one transaction with its results and events. Run by Celery workers.

Exactly once: a command's row in `command_result` is inserted in the transaction of its effect, and what
conflicts has been applied before. Whatever a crash cuts off is repaired by the log's redelivery.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.db import connections, transaction

from socialapp.cqrs import batches, dead_letters, deferrals, effects, events, log, settle, suspects
from socialapp.cqrs.batches import Batch, Read
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.dead_letters import described
from socialapp.cqrs.failures import is_infrastructure
from socialapp.cqrs.models import CommandResult
from socialapp.cqrs.suspects import KeepsKillingItsWorker, watched

logger = logging.getLogger(__name__)

BATCH = 500
MOST_BATCHES = 10
# Seconds. Then the drain goes to the back of the queue, so that no partition starves another.
LONGEST_DRAIN = 1.0
ATTEMPTS = 3
BACKOFF = (0.05, 0.2)
# Seconds that one batch pauses in all: a handler that always fails must not hold up every other command.
MOST_PAUSED = 1.0
# Milliseconds; a batch takes some tens. A frozen worker holds up its partition for so long.
LONGEST_TRANSACTION = 5_000
# Advisory locks of the drains, apart from any other use of them.
LOCK_SPACE = 0x50C1
# One statement, as each is a trip to the primary. The limits are those of this transaction only.
LOCK = """
    SELECT set_config('transaction_timeout', %s, true), set_config('client_connection_check_interval', '1s', true),
           pg_try_advisory_xact_lock(%s, %s)
"""


class LockHeld(Exception):
    """Another worker drains this partition."""


@dataclass(frozen=True, slots=True)
class Applied:
    envelopes: list[Envelope]
    effects: effects.Effects


def drain(partition: int, wake: int | None = None) -> bool:
    """Apply what waits in a partition; True when more is waiting and the caller should come back.

    wake: the number of the message that asks for it; an old one changes nothing.
    """
    deadline = time.monotonic() + LONGEST_DRAIN
    # Before the read: a command appended after this line sets the flag again and wakes somebody.
    if not log.clear_wake(partition, wake):
        return False
    for _ in range(MOST_BATCHES):
        try:
            taken = apply_batch(partition)
        except LockHeld:
            return False
        if taken < BATCH or time.monotonic() > deadline:
            break
    # Looked at after the lock is let go, since a task that found it held went away without a word.
    return log.backlog(partition) > 0 and not deferrals.is_full(partition)


def apply_batch(partition: int) -> int:
    """Apply one batch; returns how many commands were taken from where they waited. Raises LockHeld."""
    batch = None
    try:
        with transaction.atomic(durable=True):
            _lock(partition)
            batch = batches.read(partition, limit=BATCH)
            if not batch.reads:
                return batch.taken
            with watched(partition, suspects.BATCH):
                applied = _perform(batch, batch.reads)
    except Exception as error:
        if batch is None or _is_not_the_commands(error):
            raise
        _find_culprit(batch, batch.reads, error)
    else:
        finish(batch, batch.reads, applied)
    return batch.taken


def _find_culprit(batch: Batch, reads: list[Read], error: Exception) -> None:
    """After `error` in a transaction with `reads`: apply all of them but the culprits."""
    if isinstance(error, KeepsKillingItsWorker):
        isolate(batch, reads)
    else:
        bisect(batch, reads, error)


def isolate(batch: Batch, reads: list[Read]) -> None:
    """Run commands that keep killing their worker one by one, and bury the one that does."""
    logger.error("partition %d: a worker died in this batch; its commands are run one by one", batch.partition)
    for read in reads:
        error = _attempt(batch, [read])
        if error:
            retry(batch, read, error)
    suspects.forget(batch.partition)


def bisect(batch: Batch, reads: list[Read], error: Exception) -> None:
    """Halve a batch that failed until the poison stands alone; everything else is applied."""
    if len(reads) == 1:
        retry(batch, reads[0], error)
        return
    middle = len(reads) // 2
    for half in (reads[:middle], reads[middle:]):
        cause = _attempt(batch, half)
        if cause:
            _find_culprit(batch, half, cause)


def retry(batch: Batch, read: Read, error: Exception) -> None:
    """Try a single command again, then bury it."""
    for pause in BACKOFF:
        if isinstance(error, KeepsKillingItsWorker):
            break
        if batch.paused < MOST_PAUSED:
            time.sleep(pause)
            batch.paused += pause
        error = _attempt(batch, [read])
        if error is None:
            return
    bury(batch, read, error)


def bury(batch: Batch, read: Read, error: Exception) -> None:
    """Write a dead letter; the command's outcome is `failed`. One that another worker applied meanwhile stays applied.

    A command for which no row can be written is put away with the unreadable entries.
    """
    envelope = read.envelope
    logger.error("%s %s is dead: %s", envelope.type.name, envelope.id, described(error))
    try:
        with transaction.atomic(durable=True):
            _lock(batch.partition)
            if effects.claim_results([envelope]).ids:
                CommandResult.objects.filter(pk=envelope.id).update(outcome=CommandResult.Outcome.FAILED)
                dead_letters.bury(envelope, error, attempts=ATTEMPTS)
    except Exception as cause:
        if _is_not_the_commands(cause):
            raise
        batches.put_away(batch.partition, [read.waiting], cause)
        with repaired_later("publishing a failure", [envelope.id]):
            settle.announce_failed(envelope)
    else:
        _announce_again(batch, [read])


def finish(batch: Batch, reads: list[Read], applied: Applied) -> None:
    """After the commit: invalidate, publish, acknowledge, for every command read, fresh or applied before.

    Nothing here is a command's fault. An error of the servers is raised, and redelivery repeats all of it. After any
    other error the rest is done: the outcome is in its row, and the consumer `cache` invalidates.
    """
    deferred = applied.effects.deferred
    done = [envelope for envelope in applied.envelopes if envelope.id not in deferred]
    settled = None
    with repaired_later("invalidating and publishing", [envelope.id for envelope in done]):
        settled = settle.settle([recorded.event for recorded in applied.effects.events])
        settle.announce(done, applied.effects, settled)
    fresh = {envelope.id for envelope in applied.envelopes}
    batches.defer(batch, [read for read in reads if read.envelope.id in deferred])
    batches.let_go(batch, [read for read in reads if read.envelope.id in fresh - deferred])
    _announce_again(batch, [read for read in reads if read.envelope.id not in fresh])
    if settled:
        with repaired_later("refilling the cache", []):
            settle.refill(settled)


def _announce_again(batch: Batch, reads: list[Read]) -> None:
    """Repeat what follows the commit of commands that had a result before.

    One without any outcome waits: its idempotency key belongs to a command that is deferred itself.
    """
    if not reads:
        return
    unique = {read.envelope.id: read.envelope for read in reads}
    told = None
    with repaired_later("publishing outcomes again", list(unique)):
        told = settle.announce_again(list(unique.values()))
    if told is None:
        # Only a command's own row proves that its outcome will be found; the others are tried again.
        found = CommandResult.objects.using("default").filter(pk__in=unique)
        told = set(found.values_list("pk", flat=True))
    batches.defer(batch, [read for read in reads if read.envelope.id not in told])
    batches.let_go(batch, [read for read in reads if read.envelope.id in told])


@contextmanager
def repaired_later(what: str, command_ids: list[UUID]) -> Iterator[None]:
    """Log an error after the commit and go on; what became of the commands is then read from their rows.

    An error of the servers is raised: redelivery repeats the step when they answer again.
    """
    try:
        yield
    except Exception as error:
        if is_infrastructure(error):
            raise
        logger.exception("%s failed after the commit; the effect stands, the cache consumer invalidates", what)
        log.forget(*command_ids)


def _attempt(batch: Batch, reads: list[Read]) -> Exception | None:
    """Apply commands in a transaction of their own; returns the error that one of them caused."""
    try:
        with transaction.atomic(durable=True):
            _lock(batch.partition)
            with watched(batch.partition, suspects.name([read.envelope.id for read in reads])):
                applied = _perform(batch, reads)
    except Exception as error:
        if _is_not_the_commands(error):
            raise
        return error
    batch.held = applied.effects.held
    finish(batch, reads, applied)
    return None


def _perform(batch: Batch, reads: list[Read]) -> Applied:
    """What has a result already, or stands twice in the batch, is left out."""
    unique = {read.envelope.id: read.envelope for read in reversed(reads)}
    envelopes = sorted(unique.values(), key=lambda envelope: envelope.stamp)
    claimed = effects.claim_results(envelopes)
    fresh = [envelope for envelope in envelopes if envelope.id in claimed.ids]
    effects.reject_reused([envelope for envelope in envelopes if envelope.id not in claimed.ids])
    found = effects.Effects(held=batch.held.copy(), impatient=batch.impatient(), now=claimed.now)
    effects.perform(fresh, found)
    found.xid = events.record(found.events)
    return Applied(fresh, found)


def _is_not_the_commands(error: Exception) -> bool:
    return isinstance(error, LockHeld) or is_infrastructure(error)


def _lock(partition: int) -> None:
    """Held until the transaction ends. A worker that freezes loses its connection, and so the lock, in seconds."""
    with connections["default"].cursor() as cursor:
        cursor.execute(LOCK, [f"{LONGEST_TRANSACTION}", LOCK_SPACE, partition])
        if not cursor.fetchone()[-1]:
            raise LockHeld(f"partition {partition}")
