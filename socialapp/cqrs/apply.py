"""Applying: batches from the log, each in one transaction with its results and events. Run by Celery workers.

Exactly once: a command's row in `command_result` is inserted in the transaction of its effect, and what
conflicts has been applied before. Whatever a crash cuts off is repaired by the log's redelivery.
"""

import logging
import time
from dataclasses import dataclass

from django.db import connections, transaction

from socialapp.cqrs import batches, dead_letters, deferrals, effects, events, log, settle, suspects
from socialapp.cqrs.batches import Batch, Read
from socialapp.cqrs.commands import Envelope
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
    except KeepsKillingItsWorker:
        isolate(batch)
    except Exception as error:
        if _is_not_the_commands(error) or batch is None:
            raise
        bisect(batch, batch.reads, error)
    else:
        finish(batch, batch.reads, applied)
    return batch.taken


def isolate(batch: Batch) -> None:
    """Run the commands of a batch that keeps killing its worker one by one, and bury the one that does."""
    logger.error("partition %d: a worker died in this batch; its commands are run one by one", batch.partition)
    for read in batch.reads:
        try:
            _apply_again(batch, [read])
        except KeepsKillingItsWorker as error:
            bury(batch, read, error)
        except Exception as error:
            if _is_not_the_commands(error):
                raise
            retry(batch, read, error)
    suspects.forget(batch.partition)


def bisect(batch: Batch, reads: list[Read], error: Exception) -> None:
    """Halve a batch that failed until the poison stands alone; everything else is applied."""
    if len(reads) == 1:
        retry(batch, reads[0], error)
        return
    middle = len(reads) // 2
    for half in (reads[:middle], reads[middle:]):
        try:
            _apply_again(batch, half)
        except Exception as cause:
            if _is_not_the_commands(cause):
                raise
            bisect(batch, half, cause)


def retry(batch: Batch, read: Read, error: Exception) -> None:
    """Try a single command again, then bury it."""
    for pause in BACKOFF:
        if batch.paused < MOST_PAUSED:
            time.sleep(pause)
            batch.paused += pause
        try:
            _apply_again(batch, [read])
            return
        except Exception as cause:
            if _is_not_the_commands(cause):
                raise
            error = cause
    bury(batch, read, error)


def bury(batch: Batch, read: Read, error: Exception) -> None:
    """Write a dead letter; the command's outcome is `failed`."""
    logger.error("%s %s is dead: %s", read.envelope.type.name, read.envelope.id, error)
    with transaction.atomic(durable=True):
        _lock(batch.partition)
        effects.claim_results([read.envelope])
        CommandResult.objects.filter(pk=read.envelope.id).update(outcome=CommandResult.Outcome.FAILED)
        dead_letters.bury(read.envelope, error, attempts=ATTEMPTS)
    settle.announce_again([read.envelope])
    batches.let_go(batch, [read])


def finish(batch: Batch, reads: list[Read], applied: Applied) -> None:
    """After the commit: invalidate, publish, acknowledge, for every command read, fresh or applied before."""
    deferred = applied.effects.deferred
    settled = settle.settle([recorded.event for recorded in applied.effects.events])
    settle.announce(
        [envelope for envelope in applied.envelopes if envelope.id not in deferred], applied.effects, settled
    )
    fresh = {envelope.id for envelope in applied.envelopes}
    dropped = {read.envelope.id: read.envelope for read in reads if read.envelope.id not in fresh}
    settle.announce_again(list(dropped.values()))
    batches.defer(batch, [read for read in reads if read.envelope.id in deferred])
    batches.let_go(batch, [read for read in reads if read.envelope.id not in deferred])
    settle.refill(settled)


def _apply_again(batch: Batch, reads: list[Read]) -> None:
    with transaction.atomic(durable=True):
        _lock(batch.partition)
        with watched(batch.partition, suspects.name([read.envelope.id for read in reads])):
            applied = _perform(batch, reads)
    batch.held = applied.effects.held
    finish(batch, reads, applied)


def _perform(batch: Batch, reads: list[Read]) -> Applied:
    """What has a result already, or stands twice in the batch, is left out."""
    unique = {read.envelope.id: read.envelope for read in reversed(reads)}
    envelopes = sorted(unique.values(), key=lambda envelope: envelope.stamp)
    claimed = effects.claim_results(envelopes)
    fresh = [envelope for envelope in envelopes if envelope.id in claimed.ids]
    found = effects.Effects(held=batch.held.copy(), impatient=batch.impatient(), now=claimed.now)
    effects.perform(fresh, found)
    found.xid = events.record(found.events)
    return Applied(fresh, found)


def _is_not_the_commands(error: Exception) -> bool:
    return isinstance(error, LockHeld | KeepsKillingItsWorker) or is_infrastructure(error)


def _lock(partition: int) -> None:
    """Held until the transaction ends. A worker that freezes loses its connection, and so the lock, in seconds."""
    with connections["default"].cursor() as cursor:
        cursor.execute(LOCK, [f"{LONGEST_TRANSACTION}", LOCK_SPACE, partition])
        if not cursor.fetchone()[-1]:
            raise LockHeld(f"partition {partition}")
