"""What a drain applies next: what the stream holds, and what was set aside and is due. For `apply`, under its lock."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from socialapp.cqrs import deferrals, log
from socialapp.cqrs.commands import Envelope, Stranger, UnknownCommand
from socialapp.cqrs.deferrals import Held, Waiting

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Read:
    """A command with the place that it was read from, and is let go of in the end."""

    waiting: Waiting
    envelope: Envelope


@dataclass
class Batch:
    """reads: by stamp. now: microseconds. held: where commands were deferred since.

    taken: how many were read, or were due. paused: seconds spent between tries of commands that fail.
    """

    partition: int
    now: int
    reads: list[Read] = field(default_factory=list)
    held: Held = field(default_factory=Held)
    taken: int = 0
    paused: float = 0

    def impatient(self) -> set[UUID]:
        """Commands that were first tried so long ago that they are not deferred again."""
        begun = self.now - deferrals.PATIENCE
        return {read.envelope.id for read in self.reads if 0 < read.waiting.since <= begun}


def read(partition: int, *, limit: int) -> Batch:
    """The next commands. What must wait for something earlier, or is not known here, is set aside instead."""
    # In this order: a worker that has let go of the lock still moves commands from the stream to those set aside.
    # Read the other way round, such a command is in neither, and a later one on its aggregate overtakes it.
    streamed = log.read(partition, limit=limit)
    now, aside = deferrals.read(partition)
    if len(aside) >= deferrals.MOST:
        # The stream has to wait, as it could not be told what follows what. Its entries are read again.
        streamed = []
    batch = Batch(partition, now)
    waits, held = [], Held()
    for waiting in sorted([*aside, *map(Waiting, streamed)], key=lambda one: one.entry.stamp):
        try:
            command = _decode(waiting)
        except Exception as error:
            # Whatever decoding raises for an entry that somebody else wrote, or that a disk has damaged.
            put_away(partition, [waiting], error)
            continue
        if isinstance(command, Stranger) or waiting.due > now or held.holds(command):
            held.add(command)
            waits.append(waiting)
        else:
            batch.reads.append(Read(waiting, command))
    _set_aside(partition, [waiting for waiting in waits if waiting.entry.log_id])
    batch.taken = max(len(streamed), len(batch.reads))
    return batch


def defer(batch: Batch, reads: list[Read]) -> None:
    """Set commands aside that were tried in vain."""
    due = batch.now + deferrals.PAUSE
    tried = [Waiting(read.waiting.entry, read.waiting.since or batch.now, due) for read in reads]
    deferrals.put(batch.partition, tried)
    _let_go(batch.partition, [read.waiting for read in reads if not read.waiting.since])


def let_go(batch: Batch, reads: Iterable[Read]) -> None:
    """These have their outcome, and it is published."""
    _let_go(batch.partition, [read.waiting for read in reads])


def put_away(partition: int, places: list[Waiting], error: Exception) -> None:
    """Keep what can neither be applied nor be buried with the unreadable entries, so that it stops nobody."""
    logger.error("partition %d: put away what is no command: %r", partition, error)
    log.put_away(partition, [place.entry for place in places])
    _let_go(partition, places)


def _set_aside(partition: int, waits: list[Waiting]) -> None:
    deferrals.put(partition, waits)
    log.acknowledge(partition, [waiting.entry for waiting in waits])


def _let_go(partition: int, places: list[Waiting]) -> None:
    log.acknowledge(partition, [place.entry for place in places if place.entry.log_id])
    deferrals.remove(partition, [place for place in places if not place.entry.log_id])


def _decode(waiting: Waiting) -> Envelope | Stranger:
    """Raises anything when it is no command, also one whose order or time cannot be told."""
    try:
        envelope = Envelope.decode(waiting.entry.body, waiting.entry.stamp)
        envelope.require_order()
        return envelope
    except UnknownCommand as error:
        if waiting.entry.log_id:
            logger.warning("a command waits for a newer worker: %s", error)
        return Stranger.decode(waiting.entry.body)
