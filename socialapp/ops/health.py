"""GET /health (this process) and GET /health/ready (what it depends on, one entry each)."""

from collections.abc import Callable

from django.db import Error
from django.http import HttpRequest, JsonResponse
from redis.exceptions import ResponseError

from socialapp.cqrs import (
    broker,
    fencing,
    heartbeat,
    log_history,
    partition_clocks,
    roles,
    routing,
    servers,
    valkey,
)
from socialapp.cqrs.memory import Memory
from socialapp.cqrs.postgres import activity
from socialapp.identity.revocations import revocations
from socialapp.ops import clock_differences, liveness, queues, room

# Seconds without a heartbeat after which beat, or whoever runs its tasks, counts as down.
BEAT_SILENCE = 5
# Seconds, of a transaction and of a lock on a table. The application's own last for less than a second.
LONG_TRANSACTION = 30.0
LONG_LOCK = 5.0
# The protocol's version, which Valkey states too. Scripts need flags (7.0), and replicas of the log WAITAOF (7.2).
OLDEST_LOG = (7, 2)
DURABLE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


def live(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "up"}, headers={"Cache-Control": "no-store"})


def ready(request: HttpRequest) -> JsonResponse:
    """503 when this process cannot do its job; otherwise 200, `degraded` when something that it can spare is not up."""
    found = {name: _checked(check) for name, check in _checks().items()}
    serves = can_serve({name for name, entry in found.items() if entry["status"] != "down"})
    whole = all(entry["status"] == "up" for entry in found.values())
    status = "unavailable" if not serves else "ready" if whole else "degraded"
    body = {"status": status, "role": roles.current(), "dependencies": found}
    return JsonResponse(body, status=200 if serves else 503, headers={"Cache-Control": "no-store"})


def can_serve(up: set[str]) -> bool:
    """A reader needs one database that answers; a writer the log or the primary."""
    if roles.may_write():
        return bool(up & {"primary", "log"})
    return bool(up & {"primary", *routing.replicas()})


def _checks() -> dict[str, Callable[[], dict]]:
    databases = {alias: lambda alias=alias: _replica(alias) for alias in routing.replicas()}
    return {
        "primary": _primary,
        **databases,
        # After the databases, which have just been looked at.
        "one_primary": _one_primary,
        "cache": _cache,
        "state": _state,
        "log": _log,
        "workers": _workers,
        **{f"queue_{name}": lambda name=name: _queue(name) for name in broker.declared_queues()},
        "beat": _beat,
        "disks": _disks,
        "revocations": _revocations,
        "clocks": _clocks,
        **(PRIMARY_SESSIONS if roles.may_write() else {}),
        **({"partition_clocks": _partition_clocks, "log_contents": _log_contents} if roles.may_write() else {}),
    }


def _checked(check: Callable[[], dict]) -> dict:
    try:
        return {"status": "up"} | check()
    except Exception as error:  # whatever is wrong with a dependency, the answer says so
        # The class only: messages of drivers name hosts and users.
        return {"status": "down", "error": type(error).__name__}


def _primary() -> dict:
    source = servers.look(routing.PRIMARY)
    if source.is_replica:
        return {"status": "down", "error": "is a replica"}
    return _apart(source) or _use(_ejection(routing.PRIMARY))


def _replica(alias: str) -> dict:
    """How far a replica is, and whether this process reads from it."""
    try:
        source = servers.look(alias)
    except Error as error:
        return {"status": "down", "error": type(error).__name__} | _use(servers.UNREACHABLE)
    found = {"lag_seconds": round(servers.lag(source), 3), "position": source.position, "timeline": source.timeline}
    return found | (_apart(source) or _lagging(source) or _use(_ejection(alias)))


def _apart(source: servers.Source) -> dict:
    """A server that answers, and is not of the history that the pools write."""
    why = servers.apart(source)
    return {"status": "degraded", "error": why} | _use(why) if why else {}


def _lagging(source: servers.Source) -> dict:
    """A server of the right history that does not keep up."""
    if not servers.refusal(source):
        return {}
    error = "it is behind the primary: see its server log, a full disk for example"
    return {"status": "degraded", "error": error} | _use(servers.LAGGING)


def _one_primary() -> dict:
    """Two servers that take writes: what a client is told may be only one side's truth."""
    why = fencing.found()
    timelines = {alias: source.timeline for alias, source in servers.primaries().items()}
    return {"timelines": timelines} | ({"status": "degraded", "error": why} if why else {})


def _ejection(alias: str) -> str:
    """Why this process leaves a server alone that answers. Asking has it probed where no read would."""
    return "" if servers.usable(alias) else servers.ejected(alias)


def _use(why_not: str) -> dict:
    return {"used": False, "why": why_not} if why_not else {"used": True}


def _ping(client) -> dict:
    client.ping()
    return {}


def _log() -> dict:
    """202 means on disk: a log that may lose or evict what it has answered is as bad as none."""
    outdated = _outdated() if roles.may_write() else {}
    if outdated:
        return outdated
    try:
        found = [server.config_get(*DURABLE) for server in valkey.primaries(valkey.command_log())]
    except ResponseError:
        # A managed service that does not let us look; then its operator has to.
        return _ping(valkey.command_log())
    wrong = [name for name, value in DURABLE.items() if any(one.get(name) != value for one in found)]
    if wrong:
        return {"status": "down", "error": f"set {', '.join(wrong)}"}
    return _memory(room.log) if roles.may_write() else {}


def _outdated() -> dict:
    """A log that is too old to run the scripts that apply what it holds: it fails with its first command."""
    versions = [server.info("server")["redis_version"] for server in valkey.primaries(valkey.command_log())]
    old = [version for version in versions if tuple(map(int, version.split(".")[:2])) < OLDEST_LOG]
    wanted = "LOG_URL needs Valkey 7.2, or Redis 7.2, or later"
    return {"status": "down", "error": f"{wanted}, and names a server of version {old[0]}"} if old else {}


def _cache() -> dict:
    """Only the write pool may ask about replicas."""
    return _full(room.cache_trouble() or (room.cache_replication() if roles.may_write() else ""))


def _state() -> dict:
    return _memory(room.state) if roles.may_write() else _ping(valkey.state())


def _memory(look: Callable[[], tuple[Memory, str]]) -> dict:
    found, trouble = look()
    return {"memory_used": round(found.share, 3)} | _full(trouble)


def _disks() -> dict:
    found = room.disks()
    free = {disk.name: disk.free for disk in found}
    return {"free_bytes": free} | _full("; ".join(disk.trouble for disk in found if disk.trouble))


def _full(trouble: str) -> dict:
    return {"status": "down", "error": trouble} if trouble else {}


def _workers() -> dict:
    names = liveness.alive("worker")
    return {"status": "up" if names else "down", "alive": names}


def _queue(name: str) -> dict:
    queue = queues.look(name, with_messages=roles.may_write())
    found = {"workers": len(queue.workers)}
    if queue.messages is not None:
        found["messages"] = queue.messages
    return found | ({"status": "down", "error": queue.trouble} if queue.trouble else {})


def _transactions() -> dict:
    """A long transaction on the primary holds back every consumer of events."""
    oldest = activity.oldest_transaction()
    if oldest and activity.is_old(oldest.seconds, LONG_TRANSACTION):
        return {"status": "down", "error": f"consumers of events wait for a transaction: {oldest}"}
    return {}


def _tables() -> dict:
    """A table that somebody has locked makes workers and orders wait, whatever else is well."""
    locked = [one for one in activity.locked_tables() if activity.is_old(one.seconds, LONG_LOCK)]
    return {"status": "down", "error": f"locked: {'; '.join(map(str, locked))}"} if locked else {}


# Only for the write pool: the read role may not see what other sessions do.
PRIMARY_SESSIONS: dict[str, Callable[[], dict]] = {"transactions": _transactions, "tables": _tables}


def _beat() -> dict:
    silence = heartbeat.silence()
    return {"status": "up" if silence < BEAT_SILENCE else "down", "silence_seconds": round(silence, 3)}


def _revocations() -> dict:
    """Whether this process knows which access tokens were revoked, and from where."""
    is_current = revocations.is_current()
    found = {"source": revocations.source, "age_seconds": round(min(revocations.age, 1e6), 3)}
    return found if is_current else {"status": "down", "error": "writes and staff reads answer 503"} | found


def _clocks() -> dict:
    """Seconds by which clocks are ahead of the primary's (negative: behind)."""
    wrong = clock_differences.alarming(clock_differences.all_differences())
    return {"status": "down", "error": "set the clocks (NTP)", "ahead_seconds": wrong} if wrong else {}


def _partition_clocks() -> dict:
    wrong = [f"{one.partition:x}" for one in partition_clocks.all_ahead() if one.is_wrong]
    return {"status": "down", "error": "run manage.py repair_clock", "partitions": wrong} if wrong else {}


def _log_contents() -> dict:
    """Whether commands were lost with the log, and no operator has acknowledged that."""
    lost = {f"{one.partition:x}": one.loss for one in log_history.losses()}
    return {"status": "down", "error": "commands were lost", "partitions": lost} if lost else {}
