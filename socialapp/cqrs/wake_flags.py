"""Wake flags: at most one message is under way for each thing that a worker can be woken for.

A flag holds the number of that message (microseconds of the server's clock). A message with another number is an old
one: it is ignored, because it would put a new one in its place, and under load messages would multiply.
Used by `log` for partitions, in the log's Valkey, and by `waking` for everything else, in the state store.
"""

from socialapp.cqrs.scripts import Script

# KEYS[1]: the flag. ARGV[1]: microseconds after which the message counts as lost, or "" for never. Returns the number
# for a new message, or false: one is under way. abs(), because the server's clock may have been set back. A full store
# takes a flag all the same, because the workers that it wakes are those that empty the store.
SET = Script("""#!lua flags=allow-oom
local held = redis.call('GET', KEYS[1])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if held and not (ARGV[1] ~= '' and math.abs(now - tonumber(held)) > tonumber(ARGV[1])) then return false end
local text = string.format('%.0f', now)
redis.call('SET', KEYS[1], text)
return text
""")

# KEYS[1]: the flag. ARGV[1]: the number of the message, or "" for any. Returns 1, or 0 for an old message.
CLEAR = Script("""
local held = redis.call('GET', KEYS[1])
if held and ARGV[1] ~= '' and held ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
""")


def age_limit(seconds: float | None) -> int | str:
    """The argument of SET: `seconds` after which a message counts as lost, or None for never."""
    return "" if seconds is None else int(seconds * 1e6)
