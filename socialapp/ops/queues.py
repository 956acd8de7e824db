"""The broker's queues, for health and metrics: who takes messages from each, and how many wait.

Every queue needs a worker of its own (`celery worker -Q`). Without one its messages wait until the oldest is dropped
(config/settings/celery.py), and nothing of what they stand for is done.
"""

from dataclasses import dataclass

from socialapp.cqrs import broker
from socialapp.ops import liveness

# Messages. At the steady load that the benchmark checks a queue holds fewer than 50.
LONG = 500


@dataclass(frozen=True, slots=True)
class Queue:
    """workers: names of those alive. messages: how many wait; None in a process that may not ask the broker."""

    name: str
    workers: list[str]
    messages: int | None = None

    @property
    def trouble(self) -> str:
        """What is wrong and what to do, or "" when messages are taken as they come."""
        if not self.workers:
            return f"no worker takes messages from it: start one with -Q {self.name}"
        if self.messages is not None and self.messages >= LONG:
            return f"{LONG} messages or more wait: add workers, or see what the present ones wait for"
        return ""


def look(name: str, *, with_messages: bool) -> Queue:
    """A queue as it is now. Raises waking.UNREACHABLE."""
    workers = liveness.alive(liveness.queue_kind(name))
    return Queue(name, workers, broker.length(name) if with_messages else None)


def all_queues() -> list[Queue]:
    """Every queue, with its messages: for processes that may ask the broker. Raises waking.UNREACHABLE."""
    return [look(name, with_messages=True) for name in broker.declared_queues()]
