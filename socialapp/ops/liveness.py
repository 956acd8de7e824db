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

    def start(self, worker):
        self.timer = worker.timer.call_repeatedly(RENEWAL, self.renew)
        self.renew()

    def renew(self):
        try:
            valkey.state().zadd(keys.alive("worker"), {self.name: time.time() + LIFETIME})
        except valkey.UNREACHABLE as error:
            logger.warning("no sign of life could be given: %s", error)


def alive(kind: str) -> list[str]:
    """Names of those alive. Raises valkey.UNREACHABLE."""
    return sorted(name.decode() for name in valkey.state().zrangebyscore(keys.alive(kind), time.time(), "+inf"))
