"""Events into a Valkey stream, for subscribers that read it with XREAD or, in a group of their own, XREADGROUP.

At least once, and in the order of each aggregate. The stream keeps about the last EVENTS_STREAM_LENGTH events: whoever
was away for longer has them published again (`manage.py replay_events`), or takes Kafka.
"""

from django.conf import settings
from django_redis import get_redis_connection
from redis import Redis
from redis.exceptions import RedisError

from socialapp.cqrs import valkey
from socialapp.cqrs.events import Recorded
from socialapp.publishing import cloudevents

# Events per trip: a batch of long posts is more than a server should have to take at once.
TRIP = 100
# Milliseconds for its disk; below the timeout of EVENTS_STREAM_URL's connections.
FSYNC = 2_000


class NotOnDisk(RedisError):
    """The stream has the events, but would lose them with its server."""


def publish(recorded: list[Recorded]) -> None:
    """Append entries {id, type, event} of those that are published, on disk when this returns.

    Raises valkey.UNREACHABLE: then some may have been appended.
    """
    recorded = cloudevents.published(recorded)
    client = get_redis_connection("event_stream")
    server = valkey.server_of(client, settings.EVENTS_STREAM)
    try:
        for start in range(0, len(recorded), TRIP):
            # What is on disk after the last trip, is after all.
            _append(server, recorded[start : start + TRIP], last=start + TRIP >= len(recorded))
    except valkey.UNREACHABLE:
        valkey.relearn(client)
        raise


def _append(server: Redis, trip: list[Recorded], *, last: bool) -> None:
    pipeline = server.pipeline(transaction=False)
    for one in trip:
        pipeline.xadd(settings.EVENTS_STREAM, entry(one), maxlen=settings.EVENTS_STREAM_LENGTH, approximate=True)
    fsync = last and settings.EVENTS_STREAM_FSYNC
    if fsync:
        pipeline.execute_command("WAITAOF", 1, 0, FSYNC)
    *_, answer = pipeline.execute()
    if fsync and answer[0] < 1:
        raise NotOnDisk(f"the event stream's disk took more than {FSYNC} ms")


def entry(recorded: Recorded) -> dict[str, str | bytes]:
    """id and type as in the document, for subscribers that drop doubles or want certain events only."""
    name = type(recorded.event).__name__
    return {"id": cloudevents.identity(recorded), "type": name, "event": cloudevents.encode(recorded)}
