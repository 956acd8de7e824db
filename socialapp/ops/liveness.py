"""Signs of life: Celery workers renew a short-lived key, so that /health/ready can name who is there."""

import logging

from celery import bootsteps

from socialapp.cqrs import keys, valkey

logger = logging.getLogger(__name__)

RENEWAL = 1.0
# Milliseconds; a few missed renewals on a busy machine are no death.
LIFETIME = 4_000


class Liveness(bootsteps.StartStopStep):
    """A worker's own timer renews its key: a worker whose main loop hangs is not alive."""

    requires = {"celery.worker.components:Timer"}

    def __init__(self, worker, **kwargs):
        super().__init__(worker, **kwargs)
        self.name = worker.hostname.partition("@")[0]

    def start(self, worker):
        self.timer = worker.timer.call_repeatedly(RENEWAL, self.renew)
        self.renew()

    def renew(self):
        try:
            valkey.state().set(keys.alive("worker", self.name), 1, px=LIFETIME)
        except valkey.UNREACHABLE as error:
            logger.warning("no sign of life could be given: %s", error)


def alive(kind: str) -> list[str]:
    """Names of those alive. Raises valkey.UNREACHABLE."""
    prefix = keys.alive(kind, "")
    return sorted(key.decode().removeprefix(prefix) for key in valkey.state().scan_iter(f"{prefix}*", count=1000))
