"""Whether the log still holds what it held: a generation per partition, in the log's Valkey and on the primary.

Beat compares the two and notes how far each stream has come. A log that comes back empty, shorter or as another one has
lost commands, of which clients were told 202: that is an alarm until an operator acknowledges it.
"""

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models.functions import Now

from socialapp.cqrs import keys, log, valkey
from socialapp.cqrs.ids import PARTITIONS
from socialapp.cqrs.models import LogGeneration
from socialapp.cqrs.routing import PRIMARY

logger = logging.getLogger(__name__)

# (milliseconds, number) of an entry, as in its id.
EntryId = tuple[int, int]
NONE: EntryId = (0, 0)

# KEYS: generation, stream. ARGV: the entry that was the last one when somebody looked before.
LOOK = (
    log.WAITING
    + """
local found = {}
local info = redis.pcall('XINFO', 'STREAM', KEYS[2])
for i = 1, #info, 2 do found[info[i]] = info[i + 1] end
local first = found['first-entry'] and found['first-entry'][1]
local kept = #redis.call('XRANGE', KEYS[2], ARGV[1], ARGV[1])
return {redis.call('GET', KEYS[1]), found['last-generated-id'] or '0-0', first or false, kept, waiting(KEYS[2])}
"""
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A partition of the log as it is now. kept: whether the entry that was the last one before is still there."""

    generation: str
    last: EntryId
    first: EntryId | None
    kept: bool
    waiting: int


def watch() -> None:
    """Compare the log with what is known of it, and note what it holds and what it has lost.

    Raises valkey.UNREACHABLE, or what routing.DOWN names.
    """
    # The rows come first: the log may only be further than they say.
    known = LogGeneration.objects.using(PRIMARY).in_bulk()
    changed = []
    for partition, seen in enumerate(_look(known)):
        row = known.get(partition) or LogGeneration(partition=partition, generation=seen.generation)
        before = row.generation, row.last_id, row.waiting, row.loss
        if partition in known and (loss := _loss(row, seen)):
            logger.error("partition %x of the log has lost commands: %s", partition, loss)
            row.loss, row.lost_at = loss, Now()
        row.generation = seen.generation or _new_generation(partition)
        row.last_id, row.waiting = _text(seen.last), seen.waiting
        if partition not in known or before != (row.generation, row.last_id, row.waiting, row.loss):
            changed.append(row)
    LogGeneration.objects.using(PRIMARY).bulk_create(
        changed,
        update_conflicts=True,
        unique_fields=["partition"],
        update_fields=["generation", "last_id", "waiting", "loss", "lost_at"],
    )


def losses() -> list[LogGeneration]:
    """Partitions that have lost something which nobody has acknowledged. Raises what routing.DOWN names."""
    return list(LogGeneration.objects.using(PRIMARY).exclude(loss="").order_by("partition"))


def acknowledge() -> int:
    """End the alarm; returns for how many partitions."""
    return LogGeneration.objects.using(PRIMARY).exclude(loss="").update(loss="", lost_at=None)


def _look(known: Mapping[int, LogGeneration]) -> list[Seen]:
    pipeline = valkey.command_log().pipeline(transaction=False)
    for partition in range(PARTITIONS):
        last = known[partition].last_id if partition in known else _text(NONE)
        touched = keys.log_generation(partition), keys.stream(partition)
        # The pipelines of a cluster refuse eval(), but not this.
        pipeline.execute_command("EVAL", LOOK, len(touched), *touched, last)
    return [
        Seen((generation or b"").decode(), _id(last), _id(first) if first else None, bool(kept), waiting)
        for generation, last, first, kept, waiting in pipeline.execute()
    ]


def _loss(row: LogGeneration, seen: Seen) -> str:
    """What was lost since the row was written, for people; "" for nothing."""
    last, waited = _id(row.last_id.encode()), f"{row.waiting:,} commands waited when it was last seen"
    if not seen.generation:
        return f"it was emptied; {waited}"
    if seen.generation != row.generation:
        return f"it is another log than before; {waited}"
    # Entries are let go of from the beginning of a stream: what is gone although an older one is there was lost.
    if seen.last < last or (not seen.kept and seen.first and seen.first <= last):
        return f"its end is missing; {waited}"
    return ""


def _new_generation(partition: int) -> str:
    """Give the log a generation, unless somebody else has just done so."""
    client, key = valkey.command_log(), keys.log_generation(partition)
    client.set(key, secrets.token_hex(16), nx=True)
    return client.get(key).decode()


def _id(text: bytes) -> EntryId:
    milliseconds, number = text.split(b"-")
    return int(milliseconds), int(number)


def _text(entry_id: EntryId) -> str:
    return "{}-{}".format(*entry_id)
