"""Events into a Kafka topic, keyed by aggregate, so that each aggregate's events are in order in one partition.

At least once: a batch of which something was not acknowledged is published again. Subscribers drop doubles by `ce_id`.
"""

import logging
from functools import cache
from typing import NoReturn

from confluent_kafka import KafkaError, KafkaException, Producer
from django.conf import settings

from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.events import Recorded
from socialapp.cqrs.failures import OutsideUnreachable
from socialapp.publishing import cloudevents

logger = logging.getLogger(__name__)

# Seconds. A Kafka that is away must not keep the process from the consumers of the house.
GREETING = 1.0
DELIVERY = 5.0
# What is wrong with a message itself, and will be again.
ITS_OWN_FAULT = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD)

_breaker = Breaker(open_for=(5.0, 10.0), probe=GREETING + DELIVERY)


class Refused(ValueError):
    """Kafka will not take an event, now or later."""


def publish(recorded: list[Recorded]) -> None:
    """Publish what is to be published, and wait until all in-sync replicas have it.

    Raises OutsideUnreachable, or Refused.
    """
    recorded = cloudevents.published(recorded)
    if not recorded:
        return
    if not _breaker.admits():
        raise OutsideUnreachable("Kafka failed a moment ago")
    try:
        _deliver(recorded)
    except OutsideUnreachable:
        _breaker.trip()
        raise
    except Refused:
        _breaker.close()
        raise
    _breaker.close()


def _deliver(recorded: list[Recorded]) -> None:
    reports: list[KafkaError | None] = []
    try:
        _producer().list_topics(settings.EVENTS_KAFKA_TOPIC, timeout=GREETING)
        for one in recorded:
            _produce(one, lambda error, message: reports.append(error))
        _producer().flush(DELIVERY + GREETING)
    except KafkaException as exception:
        _raise(exception.args[0])
    errors = [error for error in reports if error]
    for error in sorted(errors, key=lambda error: error.code() in ITS_OWN_FAULT):
        _raise(error)
    if len(reports) < len(recorded):
        _forget_producer()
        raise OutsideUnreachable("Kafka has not acknowledged every event")


def _produce(recorded: Recorded, report) -> None:
    headers = {"content-type": cloudevents.MEDIA_TYPE, "ce_id": cloudevents.identity(recorded)}
    headers["ce_type"] = type(recorded.event).__name__
    key, value = str(recorded.aggregate_id), cloudevents.encode(recorded)
    _producer().produce(settings.EVENTS_KAFKA_TOPIC, value, key, headers=headers, on_delivery=report)


def _raise(error: KafkaError) -> NoReturn:
    if error.code() in ITS_OWN_FAULT:
        raise Refused(error.str())
    if error.fatal():
        _forget_producer()
    raise OutsideUnreachable(f"Kafka: {error.str()}")


@cache
def _producer() -> Producer:
    """One per process, made in it: librdkafka's threads do not survive a fork."""
    settled = {
        "bootstrap.servers": settings.EVENTS_KAFKA_SERVERS,
        "client.id": "socialapp",
        # A repeat inside the client neither doubles nor overtakes.
        "enable.idempotence": True,
        "acks": "all",
        "delivery.timeout.ms": int(DELIVERY * 1000),
        "request.timeout.ms": int(DELIVERY * 1000),
        "socket.timeout.ms": int(DELIVERY * 1000),
        "linger.ms": 5,
        "compression.type": "lz4",
    }
    return Producer(settled | settings.EVENTS_KAFKA_OPTIONS, logger=logger)


def _forget_producer() -> None:
    _producer.cache_clear()
