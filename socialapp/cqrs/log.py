"""The command log: one Valkey stream per partition, fsynced before a write is answered. Its readers see the commands
of the inbox, which stands in for it while it is down, among those of the streams.

`submit` appends; `apply` reads, publishes outcomes and acknowledges; `consistency` and `outcomes` look up statuses.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from uuid import UUID

import orjson
from django.conf import settings
from redis.exceptions import RedisError, ResponseError

from socialapp.cqrs import claims, clocks, inbox, keys, memory, server_time, valkey, wake_flags
from socialapp.cqrs.commands import LARGEST_STAMP, Envelope
from socialapp.cqrs.ids import PARTITIONS, partition_of
from socialapp.cqrs.models import InboxCommand
from socialapp.cqrs.scripts import Script

logger = logging.getLogger(__name__)

GROUP = "apply"
# Entries per partition. One holds up to 30 KB: under 50 MB in all partitions.
MOST_UNREADABLE = 100
# Long enough for any backlog; the outcome replaces it with its own, shorter time.
ACCEPTED_TTL = 24 * 3600
# Seconds that an outcome stays in a log that is half full: those who wait look every 50 ms.
SHORTEST_OUTCOME = 10

# Commands that are not acknowledged. The stream also holds those that are, until they are trimmed; only somebody
# who deleted entries by hand makes the lag unknown (XINFO GROUPS), and then all that is there counts.
WAITING = """
local function waiting(stream)
    local groups = redis.pcall('XINFO', 'GROUPS', stream)
    for _, group in ipairs(groups) do
        local found = {}
        for i = 1, #group, 2 do found[group[i]] = group[i + 1] end
        if found.name == 'apply' and found.lag then return found.lag + found.pending end
    end
    return redis.call('XLEN', stream)
end
"""

# Milliseconds for the replicas' disks; below the timeout of LOG_URL's connections.
REPLICATION_TIMEOUT = 1_000

# One script, so that a command is in the log if and only if it has a status and somebody will be woken. The
# stamp depends on this server's clock and on what the client has seen, never on the clocks of web servers. A presented
# stamp too far ahead is refused. The wake flag holds this server's time, not the stamp: the flag of a partition
# whose clock is ahead would never count as lost.
# Memory is looked at by the first append of a tenth of a second: an append that is refused does not move the clock,
# so the next one looks again.
APPEND = (
    WAITING
    + memory.SHARE
    + """
local most = tonumber(ARGV[5])
if redis.call('XLEN', KEYS[1]) >= most and waiting(KEYS[1]) >= most then return 'full' end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local after = tonumber(ARGV[2])
if after > now + MOST_AHEAD then return 'stamp ahead' end
local last = tonumber(redis.call('GET', KEYS[4]) or '0')
if last >= LARGEST then last = 0 end
local used = -1
if math.floor(last / 100000) ~= math.floor(now / 100000) then
    used = share()
    if used >= tonumber(ARGV[6]) then return 'no room' end
end
if ARGV[9] == 'new' then
    local lacking = redis.call('GET', KEYS[6])
    if not lacking or now < tonumber(lacking) then return 'unknown key' end
end
local size = #ARGV[1]
local held = redis.call('HINCRBY', KEYS[5], ARGV[7], size)
if held > tonumber(ARGV[8]) and held > size then
    redis.call('HINCRBY', KEYS[5], ARGV[7], -size)
    return 'over quota'
end
local text = string.format('%.0f', math.max(now, last + 1, after + 1))
local present = string.format('%.0f', now)
redis.call('SET', KEYS[4], text)
redis.call('XADD', KEYS[1], '*', 'c', ARGV[1], 's', text, 'a', ARGV[7])
redis.call('SET', KEYS[2], ARGV[3], 'NX', 'EX', ARGV[4])
return {text, present, redis.call('SET', KEYS[3], present, 'NX') and 1 or 0, used}
""".replace("MOST_AHEAD", str(clocks.MOST_AHEAD)).replace("LARGEST", str(LARGEST_STAMP))
)
# Nobody is left with a quota that is used up by entries that are gone: when nothing waits, nobody holds anything.
ACKNOWLEDGE = (
    WAITING
    + """
local entries, users = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('XACK', KEYS[1], 'apply', unpack(ARGV, 3, entries + 2))
if waiting(KEYS[1]) == 0 then return redis.call('DEL', KEYS[2]) end
local left, gone = {}, {}
local held = redis.call('HMGET', KEYS[2], unpack(ARGV, entries + 3, entries + 2 + users))
for i = 1, users do
    local user = ARGV[entries + 2 + i]
    local bytes = (tonumber(held[i]) or 0) - ARGV[entries + 2 + users + i]
    if bytes > 0 then
        left[#left + 1] = user
        left[#left + 1] = string.format('%.0f', bytes)
    else
        gone[#gone + 1] = user
    end
end
if #gone > 0 then redis.call('HDEL', KEYS[2], unpack(gone)) end
if #left > 0 then redis.call('HSET', KEYS[2], unpack(left)) end
"""
)
# Up to a stamp of the inbox, but not further ahead than a client may present.
RAISE_CLOCK = f"""#!lua flags=allow-oom
local time = redis.call('TIME')
local raised = math.min(tonumber(ARGV[1]), time[1] * 1000000 + time[2] + {clocks.MOST_AHEAD})
if raised > tonumber(redis.call('GET', KEYS[1]) or '0') then
    redis.call('SET', KEYS[1], string.format('%.0f', raised))
end
"""
# Without it nobody can read a stream, and so nobody could empty a full log.
MAKE_GROUP = """#!lua flags=allow-oom
return redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
"""
_appending = Script(APPEND)

BACKLOG = f"{WAITING} return waiting(KEYS[1])"
BACKLOG_AND_SHARE = f"{WAITING} {memory.SHARE} return {{waiting(KEYS[1]), share()}}"


class NotReplicated(RedisError):
    """The log has the command, but would lose it in a failover."""


class Full(Exception):
    """As many commands wait in the partition as LOG_MOST_WAITING allows."""


class OverQuota(Full):
    """As many bytes of one user wait in the partition as LOG_MOST_PER_USER allows."""


class NoRoom(Full):
    """The server uses the share LOG_FULL_AT of its memory; the rest is for applying."""


class UnknownKey(Exception):
    """The claim of the idempotency key is new, and the log may have lost an earlier one: ask the primary."""


REFUSALS = {b"full": Full, b"over quota": OverQuota, b"no room": NoRoom, b"unknown key": UnknownKey}


@dataclass(frozen=True, slots=True)
class Appended:
    """stamp: microseconds, for the client's token. wake: for a message that wakes a worker; None: one is under way."""

    stamp: int
    wake: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A raw command: the encoded envelope and its stamp. log_id: its id in the stream; in the inbox, the command's.

    actor: the 16 bytes of the user's id in whose quota a streamed command is counted, if it is.
    """

    log_id: bytes | UUID
    body: bytes
    stamp: int
    actor: bytes = b""


def append(envelope: Envelope, *, after_stamp: int, new_key: bool = False) -> Appended:
    """Append durably, with a stamp above `after_stamp`. new_key: the primary was not asked for its idempotency key.

    Raises Full, UnknownKey, StampAhead when `after_stamp` is too far ahead, or valkey.UNREACHABLE: it may have
    happened.
    """
    partition = partition_of(envelope.id)
    touched = [keys.stream(partition), keys.status(envelope.id), keys.wake(partition), keys.clock(partition)]
    touched += [keys.held(partition), keys.lost_claims(partition)]
    status = orjson.dumps({"status": "accepted", **described(envelope)})
    actor = envelope.actor_id.bytes if envelope.actor_id else b""
    limits = settings.LOG_MOST_WAITING, int(settings.LOG_FULL_AT * 1000), actor, settings.LOG_MOST_PER_USER
    arguments = envelope.encode(), after_stamp, status, ACCEPTED_TTL, *limits, "new" if new_key else ""
    run = _replicated if settings.LOG_REPLICAS else _appending.run
    answer = run(touched, *arguments)
    if answer == b"stamp ahead":
        raise clocks.StampAhead()
    if isinstance(answer, bytes):
        raise REFUSALS[answer](f"partition {partition}")
    stamp, now, woke, used = answer
    server_time.note_another(server_time.moment(int(now)))
    memory.note(used)
    return Appended(clocks.carried(int(stamp), int(now)), int(now) if woke else None)


def _replicated(touched: list[str], *arguments: object) -> list | bytes:
    """The same, until LOG_REPLICAS replicas have it on disk. Raises NotReplicated, though the log itself has it."""
    client = valkey.command_log()
    pipeline = valkey.server_of(client, touched[0]).pipeline(transaction=False)
    pipeline.execute_command("EVAL", APPEND, len(touched), *touched, *arguments)
    pipeline.execute_command("WAITAOF", 1, settings.LOG_REPLICAS, REPLICATION_TIMEOUT)
    try:
        answer, (_, replicas) = pipeline.execute()
    except valkey.UNREACHABLE:
        valkey.relearn(client)
        raise
    if replicas < settings.LOG_REPLICAS:
        raise NotReplicated(f"{replicas} of {settings.LOG_REPLICAS} replicas have a command on disk")
    return answer


def described(envelope: Envelope) -> dict:
    """What a status says about every command, whatever its outcome."""
    return {
        "type": envelope.type.name,
        "actor": envelope.actor_id,
        "resource_type": envelope.type.resource,
        "resource_id": envelope.resource_id,
    }


def set_wake(partition: int, *, older_than: float | None = None) -> int | None:
    """The number for a message that wakes somebody, or None: one is under way.

    older_than: seconds after which it counts as lost, and a new one takes its place.
    """
    wake = wake_flags.SET.run([keys.wake(partition)], wake_flags.age_limit(older_than))
    return wake and int(wake)


def clear_wake(partition: int, wake: int | None = None) -> bool:
    """The next command appended wakes somebody again. False, and nothing done: `wake` is not the message's number."""
    return bool(wake_flags.CLEAR.run([keys.wake(partition)], "" if wake is None else wake))


def read(partition: int, *, limit: int) -> list[Entry]:
    """The oldest commands that are not acknowledged: first those that an earlier reader left behind.

    With those that the inbox holds, in the order of their stamps. An append that had timed out, and then happened in
    a log that was frozen, has a stamp too late; its double from the inbox comes before it.
    """
    left_behind = _read_group(partition, "0", limit)
    streamed = left_behind or _read_group(partition, ">", limit)
    kept = inbox.read(partition, limit=limit)
    if not kept:
        return streamed
    _take_over(partition, kept)
    stored = [Entry(command.pk, command.body.encode(), command.stamp) for command in kept]
    # What follows a batch that was cut off may have to come before the end of the other one.
    cut_off = [streamed] if left_behind or len(streamed) == limit else []
    cut_off += [stored] if len(stored) == limit else []
    end = min((max(entry.stamp for entry in batch) for batch in cut_off), default=float("inf"))
    return sorted((e for e in [*stored, *streamed] if e.stamp <= end), key=attrgetter("stamp"))


def _take_over(partition: int, kept: list[InboxCommand]) -> None:
    """What the log would know if it had been there: idempotency keys, statuses, and how far the stamps have come.

    A full log learns of no keys; they are looked up in the rows on the primary then. Statuses it does learn of, for the
    time until their commands are applied: a command that is set aside has left the inbox, and has no other row yet.
    """
    claims.remember(kept)
    pipeline = valkey.command_log().pipeline(transaction=False)
    for command in kept:
        status = {"status": "accepted", "type": command.type, "actor": command.actor_id}
        status |= {"resource_type": command.resource_type, "resource_id": command.resource_id}
        written = keys.status(command.pk), "SET", orjson.dumps(status), "NX", "EX", ACCEPTED_TTL
        pipeline.execute_command("EVAL", memory.ALWAYS, 1, *written)
    # The pipelines of a cluster refuse eval(), but not this.
    pipeline.execute_command("EVAL", RAISE_CLOCK, 1, keys.clock(partition), kept[-1].stamp)
    memory.execute_spared(pipeline)


def _read_group(partition: int, start: str, limit: int) -> list[Entry]:
    stream = keys.stream(partition)
    try:
        answer = valkey.command_log().xreadgroup(GROUP, f"partition-{partition:x}", {stream: start}, count=limit)
    except ResponseError as error:
        if "NOGROUP" not in str(error):
            raise
        # From 0, so that commands appended before the first reader came are read too.
        valkey.command_log().eval(MAKE_GROUP, 1, stream, GROUP)
        return _read_group(partition, start, limit)
    rows = dict(answer).get(stream.encode(), []) if isinstance(answer, list) else _rows(answer)
    deleted = [log_id for log_id, fields in rows if not fields]
    if deleted:
        # By hand, before they were acknowledged. They would be read, and counted as waiting, for ever.
        logger.error("partition %d: %d commands were deleted before they were applied", partition, len(deleted))
        valkey.command_log().xack(stream, GROUP, *deleted)
    return [_entry(log_id, fields) for log_id, fields in rows if fields]


def _entry(log_id: bytes, fields: dict) -> Entry:
    """An entry that lacks a field, or whose stamp is no number, gets a body that nobody can decode."""
    try:
        return Entry(log_id, fields[b"c"], int(fields[b"s"]), fields.get(b"a", b""))
    except (KeyError, ValueError):
        return Entry(log_id, repr(fields).encode(), 0)


def _rows(answer: dict) -> list:
    """redis-py answers RESP3 with {stream: [[rows]]}."""
    return [row for chunks in answer.values() for chunk in chunks for row in chunk]


def acknowledge(partition: int, entries: Iterable[Entry]) -> None:
    """They are not read again. They stay in the stream for as long as retention.py keeps them."""
    stored, streamed = [], []
    let_go: dict[bytes, int] = {}
    for entry in entries:
        if isinstance(entry.log_id, UUID):
            stored.append(entry.log_id)
        elif entry.log_id:
            streamed.append(entry.log_id)
            let_go[entry.actor] = let_go.get(entry.actor, 0) + len(entry.body)
    if streamed:
        touched = keys.stream(partition), keys.held(partition)
        counted = len(streamed), len(let_go), *streamed, *let_go, *let_go.values()
        valkey.command_log().eval(ACKNOWLEDGE, 2, *touched, *counted)
    if stored:
        inbox.forget(stored)


def put_away(partition: int, entries: Iterable[Entry]) -> None:
    """Keep the newest entries that are no commands where they stop nobody and somebody can look at them.

    The caller then lets go of them where they waited.
    """
    for entry in entries:
        kept = "MAXLEN", MOST_UNREADABLE, "*", "c", entry.body, "s", entry.stamp
        memory.always(valkey.command_log(), "XADD", keys.unreadable(partition), *kept)


def backlog(partition: int) -> int:
    """How many commands of a partition are not acknowledged."""
    streamed, used = valkey.command_log().eval(BACKLOG_AND_SHARE, 1, keys.stream(partition))
    memory.note(used)
    return streamed + inbox.backlog(partition)


def waiting_partitions() -> list[int]:
    """Partitions in which commands wait."""
    pipeline = valkey.command_log().pipeline(transaction=False)
    for partition in range(PARTITIONS):
        pipeline.execute_command("EVAL", BACKLOG, 1, keys.stream(partition))
    streamed = {partition for partition, waiting in enumerate(pipeline.execute()) if waiting}
    return sorted(streamed | inbox.waiting_partitions())


def publish(statuses: dict[UUID, dict]) -> None:
    """Replace statuses by outcomes, for those who wait for them.

    In a full log the statuses are deleted instead, and the rows in Postgres answer.
    """
    if not statuses:
        return
    client = valkey.command_log()
    lifetime = memory.lifetime(settings.COMMAND_RESULT_TTL, min(SHORTEST_OUTCOME, settings.COMMAND_RESULT_TTL))
    pipeline = client.pipeline(transaction=False)
    for command_id, status in statuses.items():
        # Not `set`: its checks of many options took a tenth of a drain's time.
        pipeline.execute_command("SET", keys.status(command_id), orjson.dumps(status), "EX", lifetime)
    refused = memory.execute_spared(pipeline)
    if refused:
        touched = [keys.status(command_id) for command_id in statuses]
        pipeline = client.pipeline(transaction=False)
        for place in refused:
            pipeline.delete(touched[place])
        pipeline.execute()


def statuses(command_ids: list[UUID]) -> dict[UUID, dict]:
    """The statuses that the log still remembers."""
    bodies = valkey.get_many(valkey.command_log(), [keys.status(command_id) for command_id in command_ids])
    return {command_id: orjson.loads(body) for command_id, body in zip(command_ids, bodies, strict=True) if body}


def forget(*command_ids: UUID) -> None:
    """Drop statuses: the rows say what became of the commands, and appending one makes it `accepted` again."""
    pipeline = valkey.command_log().pipeline(transaction=False)
    for command_id in command_ids:
        pipeline.delete(keys.status(command_id))
    pipeline.execute()
