"""Signs of life: Celery workers renew the time until which they count as alive, and /health/ready names them."""

import logging
import time

from celery import bootsteps

from socialapp.cqrs import keys, valkey

logger = logging.getLogger(__name__)

RENEWAL = 1.0
# Seconds; a few missed renewals on a busy machine are no death.
LIFETIME = 4.0


class Liveness(bootsteps.StartStopStep):
    """A worker's own timer renews it: a worker whose main loop hangs is not alive."""

    requires = {"celery.worker.components:Timer"}

    def __init__(self, worker, **kwargs):
        super().__init__(worker, **kwargs)
        self.name = worker.hostname.partition("@")[0]
        self.kinds = ["worker"]

    def start(self, worker):
        self.kinds = ["worker", *(queue_kind(queue) for queue in worker.app.amqp.queues.consume_from)]
        self.timer = worker.timer.call_repeatedly(RENEWAL, self.renew)
        self.renew()

    def renew(self):
        signs = valkey.state().pipeline(transaction=False)
        for kind in self.kinds:
            signs.zadd(keys.alive(kind), {self.name: time.time() + LIFETIME})
        try:
            signs.execute()
        except valkey.UNREACHABLE as error:
            logger.warning("no sign of life could be given: %s", error)


def queue_kind(queue: str) -> str:
    """The kind of process that takes messages from a queue; see `alive`."""
    return f"worker:{queue}"


def alive(kind: str) -> list[str]:
    """Names of those alive. Raises valkey.UNREACHABLE."""
    return sorted(name.decode() for name in valkey.state().zrangebyscore(keys.alive(kind), time.time(), "+inf"))
