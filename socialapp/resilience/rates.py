"""How often something may happen: token buckets in the state store (the generic cell rate algorithm, ITU-T I.371).

A bucket is one number: the time at which it would be full again. One script takes from several buckets, or from none.
While the state store is down each process counts for itself.
"""

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock

from socialapp.cqrs import keys, valkey
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.problems import Problem
from socialapp.cqrs.scripts import Script

logger = logging.getLogger(__name__)

# KEYS: buckets. ARGV: for each its seconds per token in milliseconds and its size. Returns milliseconds to wait.
TAKE = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local full, wait = {}, 0
for i, key in ipairs(KEYS) do
    local every = tonumber(ARGV[2 * i - 1])
    full[i] = math.max(tonumber(redis.call('GET', key) or '0'), now) + every
    wait = math.max(wait, full[i] - every * ARGV[2 * i] - now)
end
if wait > 0 then return wait end
for i, key in ipairs(KEYS) do redis.call('SET', key, string.format('%d', full[i]), 'PX', full[i] - now) end
return 0
""")
GIVE_BACK = Script("""
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for i, key in ipairs(KEYS) do
    local full = tonumber(redis.call('GET', key) or '0') - ARGV[2 * i - 1]
    if full > now then
        redis.call('SET', key, string.format('%d', full), 'PX', full - now)
    else
        redis.call('DEL', key)
    end
end
return 0
""")
# Buckets of one process while the state store is down, 100 bytes each.
MOST_LOCAL = 20_000

breaker = Breaker(open_for=(0.5, 1.5), probe=2.0)


class TooManyRequests(Problem):
    status, code, title = 429, "throttled", "Too many requests"

    def __init__(self, detail: str, *, retry_after: float):
        super().__init__(detail, headers={"Retry-After": str(math.ceil(retry_after))})


@dataclass(frozen=True, slots=True)
class Rate:
    """`size` times at once, and then once in `every` seconds."""

    name: str
    size: int
    every: float

    def of(self, *identifiers: object) -> "Bucket":
        """The bucket of one thing. Names that people chose are not kept: the key is a digest."""
        digest = blake2b("\0".join(map(str, identifiers)).encode(), digest_size=16).hexdigest()
        return Bucket(keys.rate(self.name, digest), self)


@dataclass(frozen=True, slots=True)
class Bucket:
    key: str
    rate: Rate


def take(buckets: Sequence[Bucket], detail: str) -> None:
    """Take one from each bucket. Raises TooManyRequests, with nothing taken, when one of them is empty."""
    wait = _run(TAKE, buckets) if buckets else 0
    if wait is None:
        wait = _local.take(buckets)
    if wait > 0:
        raise TooManyRequests(detail, retry_after=wait)


def give_back(buckets: Sequence[Bucket]) -> None:
    """Put back what `take` took."""
    if buckets and _run(GIVE_BACK, buckets) is None:
        _local.give_back(buckets)


def _run(script: Script, buckets: Sequence[Bucket]) -> float | None:
    """What the script returns, in seconds; None when the state store cannot be asked."""
    arguments = [number for one in buckets for number in (round(one.rate.every * 1000), one.rate.size)]
    try:
        with breaker:
            (answer,) = script.run_all(valkey.state(), [([one.key for one in buckets], arguments)])
    except valkey.UNREACHABLE as error:
        logger.warning("this process counts requests for itself: %s", error)
        return None
    return answer / 1000


class Local:
    """The same buckets within this process. With more than MOST_LOCAL the longest unused are forgotten."""

    def __init__(self):
        self._full: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def take(self, buckets: Sequence[Bucket]) -> float:
        """Seconds to wait; 0 when one was taken from each."""
        with self._lock:
            now = time.monotonic()
            full = {one.key: max(self._full.get(one.key, 0), now) + one.rate.every for one in buckets}
            wait = max(full[one.key] - one.rate.every * one.rate.size - now for one in buckets)
            if wait > 0:
                return wait
            for key, moment in full.items():
                self._full[key] = moment
                self._full.move_to_end(key)
            while len(self._full) > MOST_LOCAL:
                self._full.popitem(last=False)
            return 0

    def give_back(self, buckets: Sequence[Bucket]) -> None:
        with self._lock:
            for one in buckets:
                if one.key in self._full:
                    self._full[one.key] -= one.rate.every


_local = Local()
