"""Commands that kill their worker: a crash in C code, no memory left. Used by `apply` only, under a partition's lock.

Whoever runs commands notes it in the log's Valkey first, and takes the note back however that ends. So a note that is
found was left by a worker that has died in the middle; no rollback undoes it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from uuid import UUID

from socialapp.cqrs import keys, memory, valkey
from socialapp.cqrs.failures import is_out_of_time

# The name of notes about a batch, of which nobody can tell who in it is the culprit.
BATCH = "batch"
# A batch in which a worker has died is run one by one, which harms nobody. A command is buried only when two more die
# while it runs alone: workers are killed for other reasons, too.
MOST_DEATHS_OF_A_BATCH = 1
MOST_DEATHS_ALONE = 2
# Seconds. Deaths that lie further apart have other reasons.
REMEMBERED = 3600


class KeepsKillingItsWorker(Exception):
    """It is not run again."""


@contextmanager
def watched(partition: int, name: str) -> Iterator[None]:
    """Run something under a note by `name`. Raises KeepsKillingItsWorker instead when that many have died in it."""
    deaths = _note(partition, name) - 1
    if deaths >= (MOST_DEATHS_OF_A_BATCH if name == BATCH else MOST_DEATHS_ALONE):
        raise KeepsKillingItsWorker(f"workers died in it: {deaths} by itself, and before in its batch")
    try:
        yield
    except Exception as error:
        # Postgres let go of a worker that hung. For the partition that is no better than its death.
        if not is_out_of_time(error):
            _take_back(partition, name)
        raise
    _take_back(partition, name)


def name(command_ids: Sequence[UUID]) -> str:
    """What notes about some commands are called."""
    return BATCH if len(command_ids) > 1 else str(command_ids[0])


def forget(partition: int) -> None:
    """The culprit has been found, or there was none."""
    valkey.command_log().delete(keys.deaths(partition))


def _note(partition: int, name: str) -> int:
    """How often it was begun and never ended, with this time."""
    pipeline = valkey.command_log().pipeline(transaction=False)
    # A full log must not stop the drain that empties it; a note is a few bytes.
    pipeline.execute_command("EVAL", memory.ALWAYS, 1, keys.deaths(partition), "HINCRBY", name, 1)
    pipeline.expire(keys.deaths(partition), REMEMBERED)
    try:
        return pipeline.execute()[0]
    except valkey.UNREACHABLE:
        # It may have been noted although no answer came, and a slow log is nobody's fault.
        with suppress(*valkey.UNREACHABLE):
            _take_back(partition, name)
        raise


def _take_back(partition: int, name: str) -> None:
    valkey.command_log().hdel(keys.deaths(partition), name)
