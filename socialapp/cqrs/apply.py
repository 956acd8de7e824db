"""Applying: batches from the log, each in one transaction with its results and events. Run by Celery workers.

Exactly once: a command's row in `command_result` is inserted in the transaction of its effect, and what
conflicts has been applied before. Whatever a crash cuts off is repaired by the log's redelivery.
"""

import logging
import time
from dataclasses import dataclass

from django.db import connections, transaction

from socialapp.cqrs import dead_letters, effects, log, settle, suspects
from socialapp.cqrs.commands import Envelope, UnknownCommand
from socialapp.cqrs.failures import is_infrastructure
from socialapp.cqrs.log import Entry
from socialapp.cqrs.models import CommandResult
from socialapp.cqrs.suspects import KeepsKillingItsWorker, watched

logger = logging.getLogger(__name__)

BATCH = 500
MOST_BATCHES = 10
# Seconds. Then the drain goes to the back of the queue, so that no partition starves another.
LONGEST_DRAIN = 1.0
ATTEMPTS = 3
BACKOFF = (0.05, 0.2)
# Advisory locks of the drains, apart from any other use of them.
LOCK_SPACE = 0x50C1


class LockHeld(Exception):
    """Another worker drains this partition."""


@dataclass(frozen=True, slots=True)
class Read:
    entry: Entry
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Applied:
    envelopes: list[Envelope]
    effects: effects.Effects


def drain(partition: int) -> bool:
    """Apply what waits in a partition; True when more is waiting and the caller should come back."""
    deadline = time.monotonic() + LONGEST_DRAIN
    for _ in range(MOST_BATCHES):
        # Before the read: a command appended after this line sets the flag again and wakes somebody.
        log.clear_wake(partition)
        try:
            if not apply_batch(partition):
                return False
        except LockHeld:
            return False
        if time.monotonic() > deadline:
            break
    # Looked at after the lock is let go, since a task that found it held went away without a word.
    return log.backlog(partition) > 0


def apply_batch(partition: int) -> int:
    """Apply one batch; returns how many commands were read. Raises LockHeld."""
    reads: list[Read] = []
    try:
        with transaction.atomic(durable=True):
            _lock(partition)
            reads = _decode(log.read(partition, limit=BATCH))
            if not reads:
                return 0
            with watched(partition, suspects.BATCH):
                applied = _perform(reads)
    except KeepsKillingItsWorker:
        isolate(partition, reads)
    except Exception as error:
        if _is_not_the_commands(error) or not reads:
            raise
        bisect(partition, reads, error)
    else:
        finish(partition, reads, applied)
    return len(reads)


def isolate(partition: int, reads: list[Read]) -> None:
    """Run the commands of a batch that keeps killing its worker one by one, and bury the one that does."""
    logger.error("partition %d: its worker keeps dying; running %d commands one by one", partition, len(reads))
    for read in reads:
        try:
            _apply_again(partition, [read])
        except KeepsKillingItsWorker as error:
            bury(partition, read, error)
        except Exception as error:
            if _is_not_the_commands(error):
                raise
            retry(partition, read, error)
    suspects.forget(partition)


def bisect(partition: int, reads: list[Read], error: Exception) -> None:
    """Halve a batch that failed until the poison stands alone; everything else is applied."""
    if len(reads) == 1:
        retry(partition, reads[0], error)
        return
    middle = len(reads) // 2
    for half in (reads[:middle], reads[middle:]):
        try:
            _apply_again(partition, half)
        except Exception as cause:
            if _is_not_the_commands(cause):
                raise
            bisect(partition, half, cause)


def retry(partition: int, read: Read, error: Exception) -> None:
    """Try a single command again, then bury it."""
    for pause in BACKOFF:
        time.sleep(pause)
        try:
            _apply_again(partition, [read])
            return
        except Exception as cause:
            if _is_not_the_commands(cause):
                raise
            error = cause
    bury(partition, read, error)


def bury(partition: int, read: Read, error: Exception) -> None:
    """Write a dead letter; the command's outcome is `failed`."""
    logger.error("%s %s is dead: %s", read.envelope.type.name, read.envelope.id, error)
    with transaction.atomic(durable=True):
        _lock(partition)
        effects.claim_results([read.envelope])
        CommandResult.objects.filter(pk=read.envelope.id).update(outcome=CommandResult.Outcome.FAILED)
        dead_letters.bury(read.envelope, error, attempts=ATTEMPTS)
    settle.announce_again([read.envelope])
    log.acknowledge(partition, [read.entry])


def finish(partition: int, reads: list[Read], applied: Applied) -> None:
    """After the commit: invalidate, publish, acknowledge, for every command read, fresh or applied before."""
    settled = settle.settle([recorded.event for recorded in applied.effects.events])
    settle.announce(applied.envelopes, applied.effects, settled)
    fresh = {envelope.id for envelope in applied.envelopes}
    dropped = {read.envelope.id: read.envelope for read in reads if read.envelope.id not in fresh}
    settle.announce_again(list(dropped.values()))
    log.acknowledge(partition, [read.entry for read in reads])
    settle.refill(settled)


def _apply_again(partition: int, reads: list[Read]) -> None:
    with transaction.atomic(durable=True):
        _lock(partition)
        with watched(partition, suspects.name([read.envelope.id for read in reads])):
            applied = _perform(reads)
    finish(partition, reads, applied)


def _perform(reads: list[Read]) -> Applied:
    """What has a result already, or stands twice in the batch, is left out."""
    unique = {read.envelope.id: read.envelope for read in reversed(reads)}
    envelopes = sorted(unique.values(), key=lambda envelope: envelope.stamp)
    new = effects.claim_results(envelopes)
    fresh = [envelope for envelope in envelopes if envelope.id in new]
    return Applied(fresh, effects.perform(fresh))


def _is_not_the_commands(error: Exception) -> bool:
    return isinstance(error, LockHeld | KeepsKillingItsWorker) or is_infrastructure(error)


def _lock(partition: int) -> None:
    """Held until the transaction ends. A worker that freezes loses its connection, and so the lock, in seconds."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SET LOCAL transaction_timeout = '10s'; SET LOCAL client_connection_check_interval = '1s'")
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCK_SPACE, partition])
        if not cursor.fetchone()[0]:
            raise LockHeld(f"partition {partition}")


def _decode(entries: list[Entry]) -> list[Read]:
    """Up to the first command that this process does not know yet: a newer worker will, and order is kept."""
    reads = []
    for entry in entries:
        try:
            reads.append(Read(entry, Envelope.decode(entry.body, entry.stamp)))
        except UnknownCommand as error:
            logger.warning("a command waits for a newer worker: %s", error)
            break
    return reads
