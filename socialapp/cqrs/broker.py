"""Celery's transport over Valkey: for a broker that does not answer for a moment, and with queues that are bounded."""

import logging
from functools import cache

from celery import current_app
from django.conf import settings
from kombu.transport import redis, virtual
from kombu.utils.json import dumps

from socialapp.cqrs import valkey

logger = logging.getLogger(__name__)

# Seconds that a caller waits for one of the process's connections to the broker.
ACQUIRE_TIMEOUT = 1.0


class QoS(redis.QoS):
    """A message that could not be acknowledged takes no place among those that a worker may hold.

    kombu lets it keep the place for ever: a broker that was frozen for a second, while each process of a worker ended a
    task, left a worker that is connected and alive, and never takes another message. This one comes again after the
    visibility timeout, and does no harm then, as all it says is «look».
    """

    def ack(self, delivery_tag):
        try:
            super().ack(delivery_tag)
        except valkey.UNREACHABLE as error:
            logger.warning("the broker did not take an acknowledgement: %s", error)
            virtual.QoS.ack(self, delivery_tag)

    def restore_unacked_once(self, stderr=None):
        """Called when a channel closes. A broker that is killed once more at that moment must not end the worker.

        kombu then asks a connection that it has dropped already (AttributeError), and the worker hangs in its shutdown.
        Messages that are not handed back come again after the visibility timeout.
        """
        try:
            super().restore_unacked_once(stderr)
        except (*valkey.UNREACHABLE, AttributeError) as error:
            logger.warning("messages were not handed back to the broker: %r", error)


class Channel(redis.Channel):
    """Drops the oldest messages of a queue that is too long. kombu ignores `max_length` on this transport."""

    QoS = QoS

    def _put(self, queue, message, **kwargs):
        if kwargs.get("_publish_batch") is not None or queue not in _max_lengths():
            super()._put(queue, message, **kwargs)
            return
        key = self._q_for_pri(queue, self._get_message_priority(message, reverse=False))
        with self.conn_or_acquire() as client:
            # Trimmed in a second trip, which only a queue needs that is full.
            if client.lpush(key, dumps(message)) > _max_lengths()[queue]:
                client.ltrim(key, 0, _max_lengths()[queue] - 1)


@cache
def _max_lengths() -> dict[str, int]:
    """By queue, of those that the settings declare with one."""
    return {queue.name: queue.max_length for queue in settings.CELERY_TASK_QUEUES if queue.max_length}


def length(queue: str) -> int:
    """How many messages wait in a queue of the broker. Raises waking.UNREACHABLE."""
    with current_app.pool.acquire(block=True, timeout=ACQUIRE_TIMEOUT) as connection:
        try:
            # A channel of its own, because RabbitMQ closes the channel that asks for an unknown queue.
            with connection.channel() as channel:
                return channel.queue_declare(queue=queue, passive=True).message_count
        except connection.channel_errors:
            # Nothing waits: on Valkey an empty queue is an absent key.
            return 0


def declared_queues() -> list[str]:
    """The names of the queues that need a worker each."""
    return [queue.name for queue in settings.CELERY_TASK_QUEUES]


def install() -> None:
    """For all connections of this process to a Valkey or Redis; other transports are not changed."""
    redis.Transport.Channel = Channel
