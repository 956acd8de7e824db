"""Commands that wait: their type is not known here yet, or what they need comes from another partition. For `apply`.

They are set aside, so that the stream goes on without them, and with each of them the later commands on its aggregate.
A command is put here before the stream lets go of it: a crash in between doubles it, and doubles are dropped.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from socialapp.cqrs import keys, memory, valkey
from socialapp.cqrs.commands import Envelope, Stranger
from socialapp.cqrs.ids import PARTITIONS
from socialapp.cqrs.log import Entry

# Microseconds, as all times here, by the clock of the log's Valkey.
PATIENCE = 5_000_000
PAUSE = 250_000
# All that waits in a partition is looked through with each batch. Beyond this the partition stands still.
MOST = 5_000
# Commands of one write. Lua passes on fewer than 8,000 arguments, and each command is two of them.
MOST_AT_ONCE = 500
READ = "return {redis.call('TIME'), redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command that was set aside. since: when it was first tried, 0 if never. due: when to try it again.

    member: as it stands in the sorted set; empty for a command that is not there.
    """

    entry: Entry
    since: int = 0
    due: int = 0
    member: bytes = b""


@dataclass
class Held:
    """Aggregates on which commands wait: the ids, each with whether all that wait there commute."""

    ids: dict[str, bool] = field(default_factory=dict)

    def add(self, waiting: Envelope | Stranger) -> None:
        for touched in waiting.touches:
            self.ids[touched] = waiting.commutes and self.ids.get(touched, True)

    def copy(self) -> "Held":
        return Held(self.ids.copy())

    def holds(self, later: Envelope | Stranger) -> bool:
        """Whether a later command has to wait as well, to keep its order."""
        if not self.ids:
            return False
        return any(not (self.ids[touched] and later.commutes) for touched in later.touches & self.ids.keys())


def read(partition: int) -> tuple[int, list[Waiting]]:
    """The time now, and what waits in a partition."""
    (seconds, microseconds), flat = valkey.command_log().eval(READ, 1, keys.waiting(partition))
    rows = zip(flat[::2], flat[1::2], strict=True)
    return int(seconds) * 1_000_000 + int(microseconds), [_decode(member, float(due)) for member, due in rows]


def is_full(partition: int) -> bool:
    """Whether the partition stands still."""
    return valkey.command_log().zcard(keys.waiting(partition)) >= MOST


def put(partition: int, waiting: Iterable[Waiting]) -> None:
    """Set commands aside, or change when one that is there is due."""
    several = list(waiting)
    for start in range(0, len(several), MOST_AT_ONCE):
        chunk = several[start : start + MOST_AT_ONCE]
        members = [part for one in chunk for part in (one.due, _encode(one))]
        # They come out of the log itself, at most MOST: a full one must not keep the commands behind them waiting.
        memory.always(valkey.command_log(), "ZADD", keys.waiting(partition), *members)


def remove(partition: int, waiting: Iterable[Waiting]) -> None:
    """Let go of commands that have their outcome."""
    members = [one.member for one in waiting]
    if members:
        valkey.command_log().zrem(keys.waiting(partition), *members)


def waiting_partitions() -> list[int]:
    """Partitions in which commands were set aside."""
    pipeline = valkey.command_log().pipeline(transaction=False)
    for partition in range(PARTITIONS):
        pipeline.exists(keys.waiting(partition))
    return [partition for partition, there in enumerate(pipeline.execute()) if there]


def _encode(one: Waiting) -> bytes:
    return b"%d %d %s" % (one.since, one.entry.stamp, one.entry.body)


def _decode(member: bytes, due: float) -> Waiting:
    """A damaged member becomes an entry that nobody can decode, and is put away like any other."""
    try:
        since, stamp, body = member.split(b" ", 2)
        return Waiting(Entry(b"", body, int(stamp)), int(since), int(due), member)
    except ValueError:
        return Waiting(Entry(b"", member, 0), member=member)
