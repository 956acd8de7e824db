"""The clocks of partitions: the last stamp that was given in each, in the log and in the inbox.

Each stamp is above the last one, so a clock that was once ahead stays ahead until time has caught up. It does no harm
(clocks.py), but shows that a server's clock was wrong. Used by health, metrics and `manage.py repair_clock`.
"""

from dataclasses import dataclass

from django.db import connections

from socialapp.cqrs import clocks, keys, log, valkey
from socialapp.cqrs.ids import PARTITIONS
from socialapp.cqrs.routing import PRIMARY

READ = "return {redis.call('TIME'), redis.call('GET', KEYS[1])}"

# Only when nothing waits: later commands, with lower stamps, would overtake it.
REPAIR = (
    log.WAITING
    + """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if tonumber(redis.call('GET', KEYS[1]) or '0') <= now + tonumber(ARGV[1]) then return 1 end
if waiting(KEYS[2]) > 0 or redis.call('ZCARD', KEYS[3]) > 0 then return 0 end
redis.call('SET', KEYS[1], string.format('%.0f', now))
return 1
"""
)
IN_INBOX = """
    SELECT partition, stamp - floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM cqrs_inboxclock
"""
REPAIR_INBOX = """
    UPDATE cqrs_inboxclock AS clock SET stamp = now
    FROM (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS present
    WHERE partition = %s AND stamp > now + %s
      AND NOT EXISTS (SELECT FROM cqrs_inboxcommand AS command WHERE command.partition = clock.partition)
"""


@dataclass(frozen=True, slots=True)
class Ahead:
    """Seconds by which a partition's clock in the log, and in the inbox, is ahead of its server's; 0 if it is not."""

    partition: int
    log: float
    inbox: float

    @property
    def is_wrong(self) -> bool:
        """Whether no client can have moved it so far."""
        return max(self.log, self.inbox) > clocks.MOST_AHEAD / 1e6


def all_ahead() -> list[Ahead]:
    """Every partition. Raises valkey.UNREACHABLE, or what routing.DOWN names."""
    inbox = _in_inbox()
    return [Ahead(partition, seconds, inbox.get(partition, 0.0)) for partition, seconds in enumerate(in_log())]


def in_log() -> list[float]:
    """Seconds by which the log's clock of each partition is ahead. Raises valkey.UNREACHABLE."""
    pipeline = valkey.command_log().pipeline(transaction=False)
    for partition in range(PARTITIONS):
        # The pipelines of a cluster refuse eval(), but not this.
        pipeline.execute_command("EVAL", READ, 1, keys.clock(partition))
    return [max(0.0, float(held or 0) / 1e6 - int(now[0]) - int(now[1]) / 1e6) for now, held in pipeline.execute()]


def repair(partition: int) -> bool:
    """Set a partition's clocks that are ahead to their servers' time; False while commands wait there.

    Raises valkey.UNREACHABLE, or what routing.DOWN names.
    """
    touched = keys.clock(partition), keys.stream(partition), keys.waiting(partition)
    in_order = bool(valkey.command_log().eval(REPAIR, len(touched), *touched, clocks.MOST_AHEAD))
    with connections[PRIMARY].cursor() as cursor:
        cursor.execute(REPAIR_INBOX, [partition, clocks.MOST_AHEAD])
    return in_order and _in_inbox().get(partition, 0.0) <= clocks.MOST_AHEAD / 1e6


def _in_inbox() -> dict[int, float]:
    with connections[PRIMARY].cursor() as cursor:
        cursor.execute(IN_INBOX)
        return {partition: max(0.0, ahead / 1e6) for partition, ahead in cursor.fetchall()}
