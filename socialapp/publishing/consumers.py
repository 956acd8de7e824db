"""The event consumers that publish; without a server to publish to there are none, and no offsets of theirs."""

from django.conf import settings

from socialapp.cqrs.consumers import consumer
from socialapp.publishing import streams

# So many run at once. All events of an aggregate are in one lane, and so published in its order.
LANES = 4

if settings.EVENTS_STREAM_URL:
    consumer("publish-stream", outside=True, lanes=LANES)(streams.publish)
if settings.EVENTS_KAFKA_SERVERS:
    # Here, as librdkafka takes memory in every process that loads it.
    from socialapp.publishing import kafka

    consumer("publish-kafka", outside=True, lanes=LANES)(kafka.publish)
