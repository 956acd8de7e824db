"""What waits to be applied, by partition, and since when: for operators, in `manage.py backlog` and /metrics."""

from dataclasses import dataclass

from django.db import connections

from socialapp.cqrs import keys, log, valkey
from socialapp.cqrs.ids import PARTITIONS
from socialapp.cqrs.routing import PRIMARY

# The oldest command that is not acknowledged: one that was read before, else the next to be read.
MEASURE = (
    log.WAITING
    + """
local function first(from) return redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 1)[1] end
local number, oldest = 0, nil
if redis.call('EXISTS', KEYS[1]) == 1 then number = waiting(KEYS[1]) end
if number > 0 then
    local from = '-'
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
        local found = {}
        for i = 1, #group, 2 do found[group[i]] = group[i + 1] end
        if found.name == 'apply' then from = '(' .. found['last-delivered-id'] end
    end
    local pending = from ~= '-' and redis.call('XPENDING', KEYS[1], 'apply') or {0}
    oldest = first(pending[1] > 0 and pending[2] or from)
end
return {redis.call('TIME'), number, oldest or false, redis.call('ZCARD', KEYS[2]), redis.call('XLEN', KEYS[3])}
"""
)
KEPT = """
    SELECT partition, count(*), extract(epoch FROM clock_timestamp() - min(kept_at))::float
    FROM cqrs_inboxcommand GROUP BY partition
"""


@dataclass(frozen=True, slots=True)
class InLog:
    """streamed: commands that nobody has acknowledged. seconds: since the oldest of them was accepted.

    set_aside: those that wait for something else (deferrals.py). unreadable: entries that are no commands.
    """

    partition: int
    streamed: int
    seconds: float
    set_aside: int
    unreadable: int

    @property
    def all(self) -> int:
        return self.streamed + self.set_aside


def in_log() -> list[InLog]:
    """Every partition. Raises valkey.UNREACHABLE."""
    pipeline = valkey.command_log().pipeline(transaction=False)
    for partition in range(PARTITIONS):
        touched = keys.stream(partition), keys.waiting(partition), keys.unreadable(partition)
        # The pipelines of a cluster refuse eval(), but not this.
        pipeline.execute_command("EVAL", MEASURE, len(touched), *touched)
    return [_measured(partition, *answer) for partition, answer in enumerate(pipeline.execute())]


def in_inbox() -> dict[int, tuple[int, float]]:
    """(commands, seconds since the oldest was accepted) by partition. Raises what routing.DOWN names."""
    with connections[PRIMARY].cursor() as cursor:
        cursor.execute(KEPT)
        return {partition: (number, max(0.0, seconds)) for partition, number, seconds in cursor.fetchall()}


def _measured(partition: int, now: list, streamed: int, oldest: list | None, set_aside: int, unreadable: int) -> InLog:
    if oldest is None:
        return InLog(partition, streamed, 0.0, set_aside, unreadable)
    # By the id, which the server's own clock made: stamps also depend on what clients have seen.
    appended = int(oldest[0].partition(b"-")[0]) / 1e3
    # An id in the future means that the clock was set back since. How long it has waited is unknown, and not 0.
    return InLog(partition, streamed, abs(int(now[0]) + int(now[1]) / 1e6 - appended), set_aside, unreadable)
