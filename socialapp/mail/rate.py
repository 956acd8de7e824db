"""At most so many emails per second over all workers: a leaky bucket in the state store.

Each email takes the next of slots in equal distances, by the store's clock, and waits for it. See J. Turner, "New
directions in communications", 1986; without bursts it is GCRA (ITU-T I.371).
"""

import time
from threading import Lock

from django.conf import settings

from socialapp.cqrs import keys, valkey
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.scripts import Script

# How many send at once at most: the lanes of orders' emails, and the task that verifies addresses.
SENDERS = 5
KEY = keys.pace("emails")
# While nobody can ask the store each process keeps a pace by itself, as if there were so many.
MOST_PROCESSES = 10

# Microseconds until the slot that is taken. One that is further away than anybody could have put it (each process
# takes one and waits) was written before the server's clock was set back.
TAKE = Script("""
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local slot = tonumber(redis.call('GET', KEYS[1]) or 0)
if slot < now or slot > now + 60000000 then slot = now end
redis.call('SET', KEYS[1], string.format('%.0f', slot + ARGV[1]), 'PX', 120000)
return slot - now
""")

_breaker = Breaker(open_for=(1.0, 2.0), probe=0.5)


def wait() -> None:
    """Until one more email may be sent."""
    time.sleep(take())


def take() -> float:
    """Seconds until the slot that is now the caller's."""
    interval = -(-1_000_000 // slots_per_second())
    try:
        with _breaker:
            (microseconds,) = TAKE.run_all(valkey.state(), [([KEY], [interval])])
    except valkey.UNREACHABLE:
        return _alone.take(MOST_PROCESSES / settings.EMAILS_PER_SECOND)
    return microseconds / 1_000_000


def slots_per_second() -> int:
    """A few less than emails: each sender may be late with one, and bring it into a second whose slots are all used."""
    return settings.EMAILS_PER_SECOND - min(SENDERS, settings.EMAILS_PER_SECOND // 10)


class Pace:
    """The same for one process."""

    def __init__(self):
        self._next, self._lock = 0.0, Lock()

    def take(self, interval: float) -> float:
        """interval: seconds between two slots."""
        with self._lock:
            now = time.monotonic()
            slot = max(now, self._next)
            self._next = slot + interval
            return slot - now


_alone = Pace()
