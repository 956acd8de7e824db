"""Commands stay in the log for a while after they were applied: a promoted replica may lack the last of them.

Beat trims what is older; `manage.py reapply_log` has the rest read again. Exactly once makes that harmless.
"""

from datetime import datetime

from django.conf import settings

from socialapp.cqrs import keys, valkey
from socialapp.cqrs.ids import PARTITIONS

# Only from the head, and never what somebody has still to read or to acknowledge: `unsettled` is the oldest such
# id. XTRIM with LIMIT takes whole nodes of up to 100 entries, so a few more than ARGV[2] may stay.
TRIM = """
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
local unsettled
for _, group in ipairs(groups) do
    local found = {}
    for i = 1, #group, 2 do found[group[i]] = group[i + 1] end
    if found.name == 'apply' then unsettled = found['last-delivered-id'] end
end
if not unsettled then return 0 end
local pending = redis.call('XPENDING', KEYS[1], 'apply')
if pending[1] > 0 then unsettled = pending[2] end
local cut = redis.call('TIME')[1] * 1000 - ARGV[1] * 1000
local oldest = string.format('%.0f-0', cut)
if tonumber(string.match(unsettled, '^%d+')) < cut then oldest = unsettled end
local trimmed = redis.call('XTRIM', KEYS[1], 'MINID', oldest)
local excess = redis.call('XLEN', KEYS[1]) - ARGV[2]
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
    """Let go of commands older than LOG_RETENTION that are applied, and of the oldest of too many; returns how many."""
    log = valkey.command_log()
    limits = settings.LOG_RETENTION, settings.LOG_MOST_RETAINED
    return sum(log.eval(TRIM, 1, keys.stream(partition), *limits) for partition in range(PARTITIONS))


def rewind(partition: int, since: datetime, *, dry_run: bool = False) -> int:
    """Have the commands of a partition that were accepted since then read again; returns how many there are."""
    arguments = max(1, int(since.timestamp() * 1000)), "dry run" if dry_run else ""
    return valkey.command_log().eval(REWIND, 1, keys.stream(partition), *arguments)
