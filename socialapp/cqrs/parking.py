"""Parked events: what a consumer could not digest was put aside, until an operator wants it to be tried again.

The consumer itself tries it, in its own process and under its own lock; an operator only marks it.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from django.db.models import Q
from django.db.models.functions import Now

from socialapp.cqrs import events
from socialapp.cqrs.commands import Envelope, command, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.events import Recorded
from socialapp.cqrs.failures import is_infrastructure
from socialapp.cqrs.models import ConsumerOffset, ParkedEvent
from socialapp.cqrs.problems import NotFound

if TYPE_CHECKING:
    from socialapp.cqrs.consumers import Consumer

logger = logging.getLogger(__name__)

ATTEMPTS = 3
RETRY_BATCH = 50
MOST_MARKED = 1000
ERROR_LENGTH = 2000


@command("consumer")
class RetryParkedEvents:
    """position: of one event; None stands for all that this consumer has parked."""

    consumer: str
    position: int | None = None


@handles(RetryParkedEvents)
def retry_parked_events(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        wanted = envelope.command
        parked = ParkedEvent.objects.filter(consumer=wanted.consumer)
        if wanted.position is not None:
            parked = parked.filter(event_position=wanted.position)
        if not parked.update(retry_at=Now()):
            effects.reject(envelope, NotFound(f"{wanted.consumer} has parked no such event."))


def retry(running: "Consumer", held: ConsumerOffset, *, guard: Callable) -> None:
    """Consume what is marked, or due by itself, and belongs to this lane; under its lock or lease."""
    due = Q(retry_at__isnull=False)
    if running.retry_after:
        due |= Q(parked_at__lt=Now() - running.retry_after)
    marked = ParkedEvent.objects.using("default").filter(due, consumer=running.name)
    positions = list(marked.order_by("event_position").values_list("event_position", flat=True)[:MOST_MARKED])
    if not positions:
        return
    where = f"position = ANY(%s) AND {events.IN_LANE}"
    for recorded in events.read(where, [positions, held.lanes, held.lane], limit=RETRY_BATCH):
        if consume_or_park(running, recorded, guard):
            marked.filter(event_position=recorded.position).delete()


def consume_or_park(running: "Consumer", recorded: Recorded, guard: Callable) -> bool:
    """Whether it was consumed."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with guard():
                running.consume([recorded])
            return True
        except Exception as error:
            if is_infrastructure(error):
                raise
            if attempt == ATTEMPTS:
                park(running.name, recorded, error)
    return False


def park(consumer: str, recorded: Recorded, error: Exception) -> None:
    logger.exception("%s parks event %d", consumer, recorded.position)
    news = {"error": repr(error)[:ERROR_LENGTH], "parked_at": Now(), "retry_at": None}
    ParkedEvent.objects.update_or_create(consumer=consumer, event_position=recorded.position, defaults=news)
