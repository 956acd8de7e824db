"""Waking workers: at most one message is under way for each partition, consumer lane and task that is woken here.

A message only saves time. Beat's ticks replace one that was lost, and wake what nobody was woken for.
"""

import logging
from collections.abc import Iterable, Set
from dataclasses import dataclass

from celery import current_app
from kombu.exceptions import OperationalError as BrokerError

from socialapp.cqrs import consumers, keys, valkey, wake_flags

logger = logging.getLogger(__name__)

UNREACHABLE = (*valkey.UNREACHABLE, BrokerError)
# Seconds in which a message should have reached a worker. After that a tick of beat replaces it.
LOST_AFTER = 2.0
# Seconds. A worker drops an older message without running it.
EXPIRES = 60
RUN_CONSUMER = "socialapp.cqrs.tasks.run_consumer"


@dataclass(frozen=True, slots=True)
class Wake:
    """What a worker can be woken for: a task with its arguments, and the queue (None: by the task routes)."""

    task: str
    arguments: tuple = ()
    queue: str | None = None

    @property
    def flag(self) -> str:
        return keys.task_wake(self.task.rpartition(".")[2], *self.arguments)


def wake_partition(partition: int, wake: int | None = None) -> None:
    """Publish one message. wake: its number in the log's flag; a worker obeys one without a number in any case."""
    _publish("socialapp.cqrs.tasks.apply_commands", (partition, wake))


def wake_consumer(name: str, lane: int) -> None:
    """Wake a worker for one lane of an event consumer, unless a message for it is under way."""
    wake_once([_of_lane(name, lane)])


def wake_consumers(aggregates: Set[str] | None = None, *, older_than: float | None = None) -> None:
    """Wake workers for every lane of the consumers that read events about these kinds of aggregates, or of all.

    older_than: seconds after which a message that is under way counts as lost and is replaced.
    """
    wake_once([_of_lane(*lane) for lane in consumers.all_lanes(aggregates)], older_than=older_than)


def wake_once(wakes: Iterable[Wake], *, older_than: float | None = None) -> None:
    """Publish a message for each, unless one is under way. Best effort: an unreachable store is logged."""
    wakes = list(wakes)
    try:
        numbers = wake_flags.SET.run_all(
            valkey.state(), [([wake.flag], [wake_flags.age_limit(older_than)]) for wake in wakes]
        )
    except UNREACHABLE as error:
        logger.warning("workers were not woken: %s", error)
        return
    for wake, number in zip(wakes, numbers, strict=True):
        if number:
            _publish(wake.task, (*wake.arguments, int(number)), **({"queue": wake.queue} if wake.queue else {}))


def is_old(wake: Wake, number: int | None) -> bool:
    """Whether another message has replaced the one with this number. Raises what UNREACHABLE names."""
    held = valkey.state().get(wake.flag)
    return None not in (held, number) and int(held) != number


def received(wake: Wake, number: int | None) -> bool:
    """Let the next event send a message again; False, and nothing done, when this message is an old one.

    Call it immediately before the work, so that what happens from then on sends another message.
    Raises what UNREACHABLE names.
    """
    (cleared,) = wake_flags.CLEAR.run_all(valkey.state(), [([wake.flag], ["" if number is None else number])])
    return bool(cleared)


def lane_wake(name: str, lane: int) -> Wake:
    """The Wake of a consumer's lane, also of a consumer that this process does not declare."""
    return Wake(RUN_CONSUMER, (name, lane))


def _of_lane(name: str, lane: int) -> Wake:
    return Wake(RUN_CONSUMER, (name, lane), consumers.declared()[name].queue)


def _publish(task: str, arguments: tuple, **options: object) -> None:
    try:
        current_app.send_task(task, arguments, retry=False, ignore_result=True, expires=EXPIRES, **options)
    except UNREACHABLE as error:
        logger.warning("the broker did not take %s: %s", task, error)
