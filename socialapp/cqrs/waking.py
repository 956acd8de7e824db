"""Telling workers to look. A message only saves time: whoever is not woken is found by beat's next tick."""

import logging
from collections.abc import Set

from celery import current_app
from kombu.exceptions import OperationalError as BrokerError

from socialapp.cqrs import consumers, keys, valkey
from socialapp.cqrs.scripts import Script

logger = logging.getLogger(__name__)

UNREACHABLE = (*valkey.UNREACHABLE, BrokerError)
# Milliseconds after which a consumer may be woken again although it has not answered.
CONSUMER_FLAG_TTL = 1_000
# The places, from 1, of those that were not set.
SET_FLAGS = Script("""
local fresh = {}
for place, flag in ipairs(KEYS) do
  if redis.call('SET', flag, 1, 'NX', 'PX', ARGV[1]) then fresh[#fresh + 1] = place end
end
return fresh
""")
# Seconds. While no worker runs, beat's ticks must not fill the broker's memory.
EXPIRES = 60


def wake_partition(partition: int, wake: int | None = None) -> None:
    """wake: the number under which the log knows this message; without one it is obeyed in any case."""
    _publish("apply_commands", partition, wake)


def wake_consumer(name: str, lane: int) -> None:
    _publish("run_consumer", name, lane, queue=consumers.declared()[name].queue)


def wake_consumers(aggregates: Set[str] | None = None) -> None:
    """Wake the event consumers, with each of their lanes, that are not about to look anyway: those that read events
    about these kinds of aggregates, or all."""
    lanes = consumers.all_lanes(aggregates)
    try:
        flags = [keys.consumer_wake(name, lane) for name, lane in lanes]
        (fresh,) = SET_FLAGS.run_all(valkey.state(), [(flags, [CONSUMER_FLAG_TTL])])
    except UNREACHABLE as error:
        logger.warning("event consumers were not woken: %s", error)
        return
    for place in fresh:
        wake_consumer(*lanes[place - 1])


def _publish(task: str, *arguments: object, **options: object) -> None:
    name = f"socialapp.cqrs.tasks.{task}"
    try:
        current_app.send_task(name, arguments, retry=False, ignore_result=True, expires=EXPIRES, **options)
    except UNREACHABLE as error:
        logger.warning("the broker did not take %s: %s", name, error)
