"""Events into a Valkey stream, for subscribers that read it with XREAD or, in a group of their own, XREADGROUP.

At least once, and in the order of each aggregate. The stream keeps about the last EVENTS_STREAM_LENGTH events: whoever
was away for longer asks the API, or takes Kafka.
"""

from django.conf import settings
from django_redis import get_redis_connection

from socialapp.cqrs.events import Recorded
from socialapp.publishing import cloudevents

# Events per trip: a batch of long posts is more than a server should have to take at once.
TRIP = 100


def publish(recorded: list[Recorded]) -> None:
    """Append entries {id, type, event}. Raises valkey.UNREACHABLE: then some may have been appended."""
    stream = get_redis_connection("event_stream")
    for start in range(0, len(recorded), TRIP):
        pipeline = stream.pipeline(transaction=False)
        for one in recorded[start : start + TRIP]:
            pipeline.xadd(settings.EVENTS_STREAM, entry(one), maxlen=settings.EVENTS_STREAM_LENGTH, approximate=True)
        pipeline.execute()


def entry(recorded: Recorded) -> dict[str, str | bytes]:
    """id and type as in the document, for subscribers that drop doubles or want certain events only."""
    name = type(recorded.event).__name__
    return {"id": cloudevents.identity(recorded), "type": name, "event": cloudevents.encode(recorded)}
