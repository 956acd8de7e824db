"""Memory of the Valkeys: how full the command log is, and writes that a full one must not refuse.

A full Valkey refuses every command that may need memory. The processes that empty it need some themselves; what they
write is bounded by what was accepted before, so it passes the limit (`ALWAYS`), or is left out (`execute_spared`).
"""

from dataclasses import dataclass

from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import OutOfMemoryError

from socialapp.cqrs import valkey

# EVAL ALWAYS 1 key COMMAND argument …: `COMMAND key argument …`, also when the server is full.
ALWAYS = "#!lua flags=allow-oom\nreturn redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))"

# In a script: the used part of this server's memory in thousandths, 0 without a limit. INFO takes 27 microseconds.
SHARE = """
local function share()
    local found = redis.call('INFO', 'memory')
    local used = tonumber(string.match(found, 'used_memory:(%d+)'))
    local _, place = string.find(found, 'maxmemory:', 1, true)
    local most = tonumber(string.match(found, '^%d+', place + 1))
    return most > 0 and math.floor(used * 1000 / most) or 0
end
"""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one server. most: where it refuses writes or evicts; 0: it has no limit."""

    used: int
    most: int

    @property
    def share(self) -> float:
        return self.used / self.most if self.most else 0.0


def fullest(client: Redis | RedisCluster) -> Memory:
    """Of the servers that hold keys the one with the least room left. Raises valkey.UNREACHABLE."""
    found = [server.info("memory") for server in valkey.primaries(client)]
    return max((Memory(one["used_memory"], one["maxmemory"]) for one in found), key=lambda memory: memory.share)


# The log's memory is meant for four quarters: retained commands; what is remembered about commands; those that wait;
# applying. Above the first of these shares memories get shorter, from the second on they are as short as can be.
SHORTER_FROM, SHORTEST_FROM = 0.25, 0.5
_used = 0.0


def note(thousandths: int) -> None:
    """How full the command log said it is; -1: it did not look."""
    global _used
    if thousandths >= 0:
        _used = thousandths / 1000


def is_short() -> bool:
    """Whether the log was so full last that what it retains should not wait for the next tick to be trimmed."""
    return _used >= SHORTEST_FROM


def lifetime(longest: int, shortest: int) -> int:
    """Seconds for which the log remembers what Postgres has rows for as well: the fuller it was last, the fewer."""
    room = (SHORTEST_FROM - _used) / (SHORTEST_FROM - SHORTER_FROM)
    return shortest + int((longest - shortest) * min(max(room, 0.0), 1.0))


def always(client: Redis | RedisCluster, command: str, key: str, *arguments: object) -> object:
    """Run one command on one key although the server may be full. For what is bounded by something else only."""
    return client.execute_command("EVAL", ALWAYS, 1, key, command, *arguments)


def execute_spared(pipeline) -> list[int]:
    """Run a pipeline of writes that may be left out; returns the places of those that a full server refused.

    Raises valkey.UNREACHABLE for any other error.
    """
    answers = pipeline.execute(raise_on_error=False)
    failed = [answer for answer in answers if isinstance(answer, Exception)]
    other = next((error for error in failed if not isinstance(error, OutOfMemoryError)), None)
    if other:
        raise other
    return [place for place, answer in enumerate(answers) if isinstance(answer, OutOfMemoryError)]
