"""The read cache's protocol: leases, floors and positions, as in the model `read_cache_model.py`.

Its rules, each enforced here: a fill needs the lease of its miss and an invalidation voids it (lease); a replica
may serve a miss only past the key's floor (floor), its position read before its data (order); a fill raises the
floor to the position read again after its data (raise); an absent floor means lost memory, and then only the
primary may serve (memory). Used by `fragments`; domains only name keys.

Facebook's leases: Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013.
"""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from socialapp.cqrs import keys, routing, valkey

# Milliseconds. A lease outlives a slow database read, but not a crashed reader's welcome.
LEASE_TTL = 3_000
RECOVERY_TTL = 10_000

# Keys in one pipeline; a profile's change may make a hundred thousand posts stale.
BATCH = 500

# A key is a string, or a hash of pages when a field is given; leases of a hash are a hash too, so that an
# invalidation voids all of them. Seconds to live are set by whoever fills.
LOOKUP = """
local entry, lease, floor = KEYS[1], KEYS[2], KEYS[3]
local field, token, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3])
local body = field == '' and redis.call('GET', entry) or field ~= '' and redis.call('HGET', entry, field)
if body then return {1, body} end
if field == '' then
  if not redis.call('SET', lease, token, 'NX', 'PX', ttl) then return {0} end
else
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local held = redis.call('HGET', lease, field)
  if held and tonumber(string.match(held, ':(%d+)$')) > now then return {0} end
  redis.call('HSET', lease, field, token .. ':' .. string.format('%.0f', now + ttl))
  redis.call('PEXPIRE', lease, ttl)
end
return {2, redis.call('GET', floor) or ''}
"""

FILL = """
local entry, lease, floor = KEYS[1], KEYS[2], KEYS[3]
local field, token, body, position, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
if field == '' then
  if redis.call('GET', lease) ~= token then return 0 end
  redis.call('DEL', lease)
  redis.call('SET', entry, body, 'PX', ttl)
else
  local held = redis.call('HGET', lease, field)
  if not held or string.match(held, '^(.*):') ~= token then return 0 end
  redis.call('HDEL', lease, field)
  if redis.call('HLEN', entry) >= tonumber(ARGV[6]) then redis.call('DEL', entry) end
  local first = redis.call('EXISTS', entry) == 0
  redis.call('HSET', entry, field, body)
  if first then redis.call('PEXPIRE', entry, ttl) end
end
local raised = redis.call('GET', floor)
if not raised or tonumber(raised) < tonumber(position) then redis.call('SET', floor, position) end
return 1
"""

# A floor that is absent is not set to the position of one write: other writes may have raised it higher before
# the memory was lost. The caller then asks the primary for its present position; the recovery mark proves that
# the memory was not lost once more in between.
INVALIDATE = """
local entry, lease, floor, recovery = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local position, token, recovering = ARGV[1], ARGV[2], ARGV[3]
redis.call('DEL', entry, lease)
local raised = redis.call('GET', floor)
if not raised then
  if recovering == '1' and redis.call('GET', recovery) == token then
    redis.call('SET', floor, position)
    redis.call('DEL', recovery)
    return 1
  end
  redis.call('SET', recovery, token, 'PX', ARGV[4])
  return 0
end
if tonumber(raised) < tonumber(position) then redis.call('SET', floor, position) end
return 1
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to fill one entry once. floor is None when the cache has lost it."""

    key: str
    field: str
    token: str
    floor: int | None


class Busy:
    """Somebody else holds the lease."""


BUSY = Busy()


def _touched(key: str) -> tuple[str, str, str]:
    return key, keys.lease(key), keys.floor(key)


def lookup(key: str, field: str = "") -> bytes | Lease | Busy:
    """A body, or the one lease to fill it, or BUSY. Raises valkey.UNREACHABLE."""
    token = secrets.token_hex(8)
    answer = valkey.read_cache().eval(LOOKUP, 3, *_touched(key), field, token, LEASE_TTL)
    if answer[0] == 1:
        return answer[1]
    if answer[0] == 0:
        return BUSY
    return Lease(key, field, token, int(answer[1]) if answer[1] else None)


def lookup_many(entry_keys: list[str]) -> list[bytes | Lease | Busy]:
    """`lookup` of entities in one round trip, in their order."""
    pipeline = valkey.read_cache().pipeline(transaction=False)
    tokens = [secrets.token_hex(8) for _ in entry_keys]
    for key, token in zip(entry_keys, tokens, strict=True):
        pipeline.eval(LOOKUP, 3, *_touched(key), "", token, LEASE_TTL)
    found = []
    for key, token, answer in zip(entry_keys, tokens, pipeline.execute(), strict=True):
        if answer[0] == 1:
            found.append(answer[1])
        elif answer[0] == 0:
            found.append(BUSY)
        else:
            found.append(Lease(key, "", token, int(answer[1]) if answer[1] else None))
    return found


def fill(lease: Lease, body: bytes, *, position: int, ttl: float, most_fields: int = 64) -> bool:
    """Put a body read at `position` (taken after the read). False: the lease was voided, and nothing was put.

    ttl: seconds. A hash of more than `most_fields` pages starts afresh.
    """
    arguments = [lease.field, lease.token, body, position, int(ttl * 1000), most_fields]
    return bool(valkey.read_cache().eval(FILL, 3, *_touched(lease.key), *arguments))


def invalidate(entry_keys: Iterable[str], *, position: int) -> None:
    """Drop entries and void leases; afterwards no fill lacks a write committed at `position` or before.

    Raises valkey.UNREACHABLE or routing.DOWN: then the invalidation is not finished and must be repeated.
    """
    entry_keys = list(entry_keys)
    for start in range(0, len(entry_keys), BATCH):
        _invalidate_batch(entry_keys[start : start + BATCH], position)


def _invalidate_batch(entry_keys: list[str], position: int) -> None:
    forgotten = _invalidate(entry_keys, position, token="", recovering=False)
    while forgotten:
        # Every round but the first ends here unless the cache loses its memory again in between.
        token = secrets.token_hex(8)
        marked = _invalidate(forgotten, position, token=token, recovering=False)
        _, present = routing.position(routing.PRIMARY)
        forgotten = _invalidate(marked, max(present, position), token=token, recovering=True)


def _invalidate(entry_keys: list[str], position: int, *, token: str, recovering: bool) -> list[str]:
    """One pass; returns the keys whose floor the cache has forgotten."""
    if not entry_keys:
        return []
    pipeline = valkey.read_cache().pipeline(transaction=False)
    for key in entry_keys:
        arguments = [position, token, int(recovering), RECOVERY_TTL]
        pipeline.eval(INVALIDATE, 4, *_touched(key), keys.recovery(key), *arguments)
    return [key for key, done in zip(entry_keys, pipeline.execute(), strict=True) if not done]


def matching(pattern: str, *, batch: int = 1000) -> Iterator[bytes]:
    """Keys of entries by a glob over resource:scope:identifier."""
    for key in valkey.read_cache().scan_iter(match=f"{keys.PREFIX}:{pattern}:{{*}}", count=batch):
        if keys.is_entry(key.decode()):
            yield key


def forget(pattern: str | None = None, *, batch: int = 1000) -> Iterator[int]:
    """Drop entries matching `pattern`, or everything; yields counts.

    Safe at any time: a dropped entry is an eviction. Floors go all together (lost memory) or not at all, as one
    that was forgotten alone might come back lower.
    """
    client = valkey.read_cache()
    if pattern is None:
        yield client.dbsize()
        client.flushdb()
        return
    found = matching(pattern, batch=batch)
    while part := list(islice(found, batch)):
        yield client.unlink(*part)
