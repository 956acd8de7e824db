"""The read cache's protocol: leases, floors and positions, as in the models in `tests/proof/models`.

Its rules, each enforced here or in `reader`: a fill needs the lease of its miss and an invalidation voids it
(lease); a replica may serve a miss only past the key's floor (floor), its position read before its data (order); a
fill raises the floor to the position read again after its data (raise); an absent floor means lost memory, and then
only the primary may serve (memory). Positions are compared with their timelines, and a fill from an older timeline than
the floor's is refused (history). Domains only name keys.

Facebook's leases: Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013.
"""

import random
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from redis.exceptions import OutOfMemoryError

from socialapp.cqrs import keys, routing, valkey
from socialapp.cqrs.keys import Slot
from socialapp.cqrs.scripts import Script
from socialapp.cqrs.servers import Place

# Milliseconds. A lease outlives a slow database read, but not a crashed reader's welcome.
LEASE_TTL = 3_000
RECOVERY_TTL = 10_000

# Keys in one pipeline; a profile's change may make a hundred thousand posts stale.
BATCH = 500
# Rounds in which an invalidation sets floors that the cache forgets at once: a cache that is full of keys without a
# TTL evicts everything else at each write.
MOST_RECOVERIES = 3
# Pages of one list beside its first ones, of which there is one for each limit.
MOST_FIELDS = 64


class NoMemory(OutOfMemoryError):
    """The read cache forgets at once what it is told: the invalidation is not finished."""


# An entry is a string, or a hash of pages when a field is given; leases of a hash are a hash too, so that an
# invalidation voids all of them. `early` asks for the lease although there is an entry, to refresh it. A floor without
# a timeline was set by earlier code, and counts as lost.
LOOKUP = Script("""
local entry, lease = KEYS[1], KEYS[2]
local field, token, ttl, early = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
if not early then
  local body = field == '' and redis.call('GET', entry) or field ~= '' and redis.call('HGET', entry, field)
  if body then return {1, body} end
end
local floor = redis.call('MGET', KEYS[3], KEYS[4])
local raised = floor[1] and floor[2] and floor[2] .. ' ' .. floor[1] or ''
if field == '' then
  if not redis.call('SET', lease, token, 'NX', 'PX', ttl) then return {0, raised} end
else
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local held = redis.call('HGET', lease, field)
  if held and tonumber(string.match(held, ':(%d+)$')) > now then return {0, raised} end
  redis.call('HSET', lease, field, token .. ':' .. string.format('%.0f', now + ttl))
  redis.call('PEXPIRE', lease, ttl)
end
return {2, raised}
""")

# An entry begins with its stamp: when it expires and what it cost to load (see `stamps`). The clock is this
# server's. Pages live as long as their hash; a page that was refreshed early begins a new one. A page beyond the cap
# takes the place of another one, but never that of a first page: anybody can make up cursors.
FILL = Script("""
local entry, lease = KEYS[1], KEYS[2]
local field, token, body, ttl = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local timeline, position = tonumber(ARGV[5]), tonumber(ARGV[6])
local most_fields, cost, early = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9] == '1'
local time = redis.call('TIME')
local function is_first(page) return string.find(page, '^cursor::') or string.find(page, '^page:1:') end
local function stamped(left)
  return string.format('%013.0f %05.0f ', time[1] * 1000 + math.floor(time[2] / 1000) + left, cost) .. body
end
if field == '' then
  if redis.call('GET', lease) ~= token then return 0 end
  redis.call('DEL', lease)
else
  local held = redis.call('HGET', lease, field)
  if not held or string.match(held, '^(.*):') ~= token then return 0 end
  redis.call('HDEL', lease, field)
end
local raised = redis.call('MGET', KEYS[3], KEYS[4])
local history = raised[1] and tonumber(raised[2] or nil) or 0
if timeline < history then return 0 end
if field == '' then
  redis.call('SET', entry, stamped(ttl), 'PX', ttl)
else
  if early then redis.call('DEL', entry) end
  if not is_first(field) and redis.call('HLEN', entry) >= most_fields then
    local others = {}
    for _, other in ipairs(redis.call('HKEYS', entry)) do
      if not is_first(other) then others[#others + 1] = other end
    end
    for excess = 1, #others - most_fields + 1 do redis.call('HDEL', entry, others[excess]) end
  end
  local left = redis.call('PTTL', entry)
  redis.call('HSET', entry, field, stamped(left > 0 and left or ttl))
  if left <= 0 then redis.call('PEXPIRE', entry, ttl) end
end
if timeline > history or position > tonumber(raised[1]) then
  redis.call('MSET', KEYS[3], ARGV[6], KEYS[4], ARGV[5])
end
return 1
""")

# A floor that is absent is not set to the position of one write: other writes may have raised it higher before
# the memory was lost. The caller then asks the primary for its present position; the recovery mark proves that
# the memory was not lost once more in between.
INVALIDATE = Script("""
local entry, lease, recovery = KEYS[1], KEYS[2], KEYS[5]
local timeline, position, token, recovering = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local dropped = redis.call('DEL', entry)
redis.call('DEL', lease)
local raised = redis.call('MGET', KEYS[3], KEYS[4])
if not (raised[1] and raised[2]) then
  if recovering == '1' and redis.call('GET', recovery) == token then
    redis.call('MSET', KEYS[3], ARGV[2], KEYS[4], ARGV[1])
    redis.call('DEL', recovery)
    return 1
  end
  redis.call('SET', recovery, token, 'PX', ARGV[5])
  return 0
end
local history = tonumber(raised[2])
if timeline > history or timeline == history and position > tonumber(raised[1]) then
  redis.call('MSET', KEYS[3], ARGV[2], KEYS[4], ARGV[1])
end
return 1 + dropped
""")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to fill one slot once. floor is None when the cache has lost it."""

    slot: Slot
    token: str
    floor: Place | None
    early: bool = False


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody else holds the lease; whoever reads for himself reads past the floor all the same."""

    slot: Slot
    floor: Place | None


def _touched(key: str) -> tuple[str, str, str, str]:
    return key, keys.lease(key), keys.floor(key), keys.floor_timeline(key)


def lookup(key: str, field: str = "") -> bytes | Lease | Busy:
    """An entry, or the one lease to fill it, or Busy. Raises valkey.UNREACHABLE."""
    return lookup_many([(key, field)])[0]


def lookup_many(slots: Sequence[Slot], *, early: bool = False) -> list[bytes | Lease | Busy]:
    """`lookup` of each slot, in their order, in one round trip per node.

    early: leases only, also for slots that have an entry, which stays until it is filled anew or invalidated.
    """
    tokens = [secrets.token_hex(8) for _ in slots]
    calls = [
        (_touched(key), (field, token, LEASE_TTL, int(early)))
        for (key, field), token in zip(slots, tokens, strict=True)
    ]
    answers = LOOKUP.run_all(valkey.read_cache(), calls)
    return [_outcome(slot, token, early, *answer) for slot, token, answer in zip(slots, tokens, answers, strict=True)]


def _outcome(slot: Slot, token: str, early: bool, kind: int, told: bytes) -> bytes | Lease | Busy:
    if kind == 1:
        return told
    floor = Place(*map(int, told.split())) if told else None
    return Lease(slot, token, floor, early) if kind == 2 else Busy(slot, floor)


def fill(lease: Lease, content: bytes, *, place: Place, ttl: float, cost: float = 0) -> bool:
    """`fill_many` of one."""
    return fill_many([(lease, content)], place=place, ttl=ttl, cost=cost)[0]


def fill_many(contents: Sequence[tuple[Lease, bytes]], *, place: Place, ttl: float, cost: float = 0) -> list[bool]:
    """Put what was read at `place` (taken after the read). False: nothing was put, because the lease was voided or the
    floor is of a newer timeline.

    ttl: seconds, less up to a tenth, so that what was filled together does not expire together. cost: seconds that
    loading took.
    """
    calls = []
    for lease, content in contents:
        key, field = lease.slot
        lifetime = int(ttl * 1000 * random.uniform(0.9, 1))
        described = (MOST_FIELDS, min(int(cost * 1000) + 1, 99_999), int(lease.early))
        calls.append((_touched(key), (field, lease.token, content, lifetime, *place, *described)))
    return [bool(filled) for filled in FILL.run_all(valkey.read_cache(), calls)]


def invalidate(entry_keys: Iterable[str], *, place: Place) -> set[str]:
    """Drop entries and void leases; afterwards no fill lacks a write committed at `place` or before.

    Returns the keys that had an entry. Raises valkey.UNREACHABLE or routing.DOWN: then the invalidation is not
    finished and must be repeated.
    """
    entry_keys, dropped = list(entry_keys), set()
    for start in range(0, len(entry_keys), BATCH):
        dropped |= _invalidate_batch(entry_keys[start : start + BATCH], place)
    return dropped


def _invalidate_batch(entry_keys: list[str], place: Place) -> set[str]:
    answers = _invalidate(entry_keys, place, token="", recovering=False)
    forgotten = _forgotten(answers)
    for _ in range(MOST_RECOVERIES):
        if not forgotten:
            break
        # Every round but the first ends here unless the cache loses its memory again in between.
        token = secrets.token_hex(8)
        marked = _forgotten(_invalidate(forgotten, place, token=token, recovering=False))
        present = routing.position(routing.PRIMARY)
        forgotten = _forgotten(_invalidate(marked, max(present, place), token=token, recovering=True))
    if forgotten:
        raise NoMemory(f"floors of {len(forgotten)} keys were gone at once: the read cache is full, or restarts")
    return {key for key, answer in answers.items() if answer == 2}


def _forgotten(answers: dict[str, int]) -> list[str]:
    return [key for key, answer in answers.items() if answer == 0]


def _invalidate(entry_keys: list[str], place: Place, *, token: str, recovering: bool) -> dict[str, int]:
    """One pass; 0 for keys whose floor the cache has forgotten, 2 for those that had an entry, else 1."""
    arguments = (*place, token, int(recovering), RECOVERY_TTL)
    calls = [((*_touched(key), keys.recovery(key)), arguments) for key in entry_keys]
    return dict(zip(entry_keys, INVALIDATE.run_all(valkey.read_cache(), calls), strict=True))


def begin_timeline(place: Place) -> None:
    """After a promotion: drop every entry, and refuse fills of readers that still believe in an older timeline.

    Floors are raised first: what is filled from then on is of the new timeline. Raises as `invalidate` does; repeating
    it is harmless.
    """
    invalidate(keys.one_of_each_bucket(), place=place)
    for _ in forget("*"):
        pass


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
