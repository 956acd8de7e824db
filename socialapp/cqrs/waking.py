"""Telling workers to look. A message only saves time: whoever is not woken is found by beat's next tick."""

import logging

from celery import current_app
from kombu.exceptions import OperationalError as BrokerError

from socialapp.cqrs import consumers, keys, valkey

logger = logging.getLogger(__name__)

UNREACHABLE = (*valkey.UNREACHABLE, BrokerError)
# Milliseconds after which a consumer may be woken again although it has not answered.
CONSUMER_FLAG_TTL = 1_000
# Seconds. While no worker runs, beat's ticks must not fill the broker's memory.
EXPIRES = 60


def wake_partition(partition: int, wake: int | None = None) -> None:
    """wake: the number under which the log knows this message; without one it is obeyed in any case."""
    _publish("apply_commands", partition, wake)


def wake_consumer(name: str, lane: int) -> None:
    _publish("run_consumer", name, lane, queue=consumers.declared()[name].queue)


def wake_consumers() -> None:
    """Wake every event consumer, with each of its lanes, that is not about to look anyway."""
    lanes = consumers.all_lanes()
    try:
        pipeline = valkey.state().pipeline(transaction=False)
        for name, lane in lanes:
            pipeline.set(keys.consumer_wake(name, lane), 1, nx=True, px=CONSUMER_FLAG_TTL)
        newly_set = pipeline.execute()
    except UNREACHABLE as error:
        logger.warning("event consumers were not woken: %s", error)
        return
    for (name, lane), fresh in zip(lanes, newly_set, strict=True):
        if fresh:
            wake_consumer(name, lane)


def _publish(task: str, *arguments: object, **options: object) -> None:
    name = f"socialapp.cqrs.tasks.{task}"
    try:
        current_app.send_task(name, arguments, retry=False, ignore_result=True, expires=EXPIRES, **options)
    except UNREACHABLE as error:
        logger.warning("the broker did not take %s: %s", name, error)
