"""Signs of life: Celery workers renew the time until which they count as alive, and /health/ready names them."""

import logging
import time

from celery import bootsteps

from socialapp.cqrs import keys, valkey
from socialapp.cqrs.scripts import Script

logger = logging.getLogger(__name__)

RENEWAL = 1.0
# Seconds; a few missed renewals on a busy machine are no death.
LIFETIME = 4.0


# By the state store's clock: a worker whose clock is ahead would count as alive long after its death. KEYS: the clocks
# of workers, and sorted sets of those alive. ARGV: seconds, the worker's name, and by how much its clock is ahead.
RENEW = Script("""
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
for place = 2, #KEYS do redis.call('ZADD', KEYS[place], now + ARGV[1], ARGV[2]) end
return string.format('%.6f', now)
""")


class Liveness(bootsteps.StartStopStep):
    """A worker's own timer renews it: a worker whose main loop hangs is not alive."""

    requires = {"celery.worker.components:Timer"}

    def __init__(self, worker, **kwargs):
        super().__init__(worker, **kwargs)
        self.name = worker.hostname.partition("@")[0]
        self.kinds = ["worker"]
        self.ahead = 0.0

    def start(self, worker):
        self.kinds = ["worker", *(queue_kind(queue) for queue in worker.app.amqp.queues.consume_from)]
        self.timer = worker.timer.call_repeatedly(RENEWAL, self.renew)
        self.renew()

    def renew(self):
        touched = [keys.worker_clocks(), *map(keys.alive, self.kinds)]
        before = time.time()
        try:
            (theirs,) = RENEW.run_all(valkey.state(), [(touched, [LIFETIME, self.name, self.ahead])])
        except valkey.UNREACHABLE as error:
            logger.warning("no sign of life could be given: %s", error)
            return
        after = time.time()
        # The least by which this clock is ahead: the time that asking takes is no difference.
        self.ahead = max(before - float(theirs), 0.0) + min(after - float(theirs), 0.0)


def queue_kind(queue: str) -> str:
    """The kind of process that takes messages from a queue; see `alive`."""
    return f"worker:{queue}"


def alive(kind: str) -> list[str]:
    """Names of those alive. Raises valkey.UNREACHABLE."""
    asking = valkey.state().pipeline(transaction=False)
    asking.time()
    asking.zrangebyscore(keys.alive(kind), "-inf", "+inf", withscores=True)
    (seconds, _), found = asking.execute()
    return sorted(name.decode() for name, until in found if until >= seconds)


def clocks() -> dict[str, float]:
    """Seconds by which the clocks of workers alive are ahead of the state store's. Raises valkey.UNREACHABLE."""
    named = alive("worker")
    told = valkey.state().hgetall(keys.worker_clocks()) if named else {}
    return {name: float(told[name.encode()]) for name in named if name.encode() in told}
