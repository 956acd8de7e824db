"""Celery's transport over Valkey, for a broker that does not answer for a moment."""

import logging

from kombu.transport import redis, virtual

from socialapp.cqrs import valkey

logger = logging.getLogger(__name__)


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


def install() -> None:
    """For all of this process's connections to a Valkey or Redis; others are not touched."""
    redis.Channel.QoS = QoS
