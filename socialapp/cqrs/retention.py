"""Commands stay in the log for a while after they were applied: a promoted replica may lack the last of them.

Beat trims what is older; `manage.py reapply_log` has the rest read again. Exactly once makes that harmless.
"""

from datetime import datetime

from django.conf import settings

from socialapp.cqrs import keys, valkey
from socialapp.cqrs.ids import PARTITIONS

# Only from the head, and never what somebody has still to read or to acknowledge: `unsettled` is the oldest such
# id. XTRIM with LIMIT takes whole nodes of up to 100 entries, so a few more than ARGV[2] may stay. Bytes per entry are
# estimated from the oldest nodes. ARGV[3] is the share of the server's memory for what this stream retains.
TRIM = """
local function excess_bytes(left)
    local found = redis.call('INFO', 'memory')
    local _, place = string.find(found, 'maxmemory:', 1, true)
    local most = tonumber(string.match(found, '^%d+', place + 1)) * ARGV[3]
    local length = redis.call('XLEN', KEYS[1])
    if most == 0 or length == 0 then return 0 end
    local each = redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 100) / length
    return math.ceil(left - most / each)
end
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
local unsettled, waiting
for _, group in ipairs(groups) do
    local found = {}
    for i = 1, #group, 2 do found[group[i]] = group[i + 1] end
    if found.name == 'apply' then
        unsettled = found['last-delivered-id']
        waiting = (found.lag or redis.call('XLEN', KEYS[1])) + found.pending
    end
end
if not unsettled then return 0 end
local pending = redis.call('XPENDING', KEYS[1], 'apply')
if pending[1] > 0 then unsettled = pending[2] end
local cut = redis.call('TIME')[1] * 1000 - ARGV[1] * 1000
local oldest = string.format('%.0f-0', cut)
if tonumber(string.match(unsettled, '^%d+')) < cut then oldest = unsettled end
local trimmed = redis.call('XTRIM', KEYS[1], 'MINID', oldest)
local retained = redis.call('XLEN', KEYS[1]) - waiting
local excess = math.max(redis.call('XLEN', KEYS[1]) - ARGV[2], excess_bytes(retained))
if excess > 0 then trimmed = trimmed + redis.call('XTRIM', KEYS[1], 'MINID', '~', unsettled, 'LIMIT', excess) end
return trimmed
"""

# Moves the group back, never forward: what it has not read yet it will read anyway. Without ENTRIESREAD the server
# would not know its lag. Holds the log up for some 20 ms when 40,000 entries are counted.
REWIND = """
local group = redis.pcall('XINFO', 'GROUPS', KEYS[1])[1]
local found = {}
for i = 1, group and #group or 0, 2 do found[group[i]] = group[i + 1] end
local delivered = tonumber(string.match(found['last-delivered-id'] or '0', '^%d+'))
if delivered < tonumber(ARGV[1]) then return 0 end
local again = #redis.call('XRANGE', KEYS[1], ARGV[1], '+')
if ARGV[2] == 'dry run' or again == 0 then return again end
local before = string.format('%.0f-18446744073709551615', ARGV[1] - 1)
local stream = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #stream, 2 do found[stream[i]] = stream[i + 1] end
redis.call('XGROUP', 'SETID', KEYS[1], 'apply', before, 'ENTRIESREAD', found['entries-added'] - again)
return again
"""


def trim() -> int:
    """`trim_partition` for each; returns how many commands went."""
    return sum(trim_partition(partition) for partition in range(PARTITIONS))


def trim_partition(partition: int) -> int:
    """Let go of applied commands: those older than LOG_RETENTION, and the oldest of too many, in number or in bytes."""
    log = valkey.command_log()
    share = settings.LOG_RETAINED_SHARE * len(valkey.primaries(log)) / PARTITIONS
    limits = settings.LOG_RETENTION, settings.LOG_MOST_RETAINED, share
    return log.eval(TRIM, 1, keys.stream(partition), *limits)


def rewind(partition: int, since: datetime, *, dry_run: bool = False) -> int:
    """Have the commands of a partition that were accepted since then read again; returns how many there are."""
    arguments = max(1, int(since.timestamp() * 1000)), "dry run" if dry_run else ""
    return valkey.command_log().eval(REWIND, 1, keys.stream(partition), *arguments)
