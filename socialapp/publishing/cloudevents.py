"""How an event looks outside: CloudEvents 1.0 in JSON (https://github.com/cloudevents/spec, JSON event format)."""

from collections.abc import Sequence

import orjson

from socialapp.cqrs import events
from socialapp.cqrs.events import Recorded

MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"


def identity(recorded: Recorded) -> str:
    """The same whenever an event is published again, and no other event's, also if a failover lost one."""
    return f"{recorded.aggregate_id}/{recorded.aggregate_version}/{recorded.command_id}"


def published(recorded: Sequence[Recorded]) -> list[Recorded]:
    """Those that say that they may leave the system."""
    return [one for one in recorded if events.type_of(one.event).published]


def encode(recorded: Recorded) -> bytes:
    """One event as a JSON document; `data` has the fields of its class."""
    declared = events.type_of(recorded.event)
    document = {
        "specversion": "1.0",
        "id": identity(recorded),
        "source": f"/socialapp/{declared.aggregate}",
        "type": f"socialapp.{declared.aggregate}.{declared.name}.v{declared.version}",
        "subject": recorded.aggregate_id,
        "time": recorded.time,
        "datacontenttype": "application/json",
        # Extensions: which change of its aggregate this is, by which command, and what belongs into one partition.
        "sequence": str(recorded.aggregate_version),
        "commandid": recorded.command_id,
        "partitionkey": recorded.aggregate_id,
        "data": recorded.event,
    }
    return orjson.dumps(document)
