"""GET /health (this process) and GET /health/ready (what it depends on, one entry each)."""

from collections.abc import Callable

from django.conf import settings
from django.db import connections
from django.http import HttpRequest, JsonResponse
from redis.exceptions import ResponseError

from socialapp.cqrs import heartbeat, roles, routing, valkey
from socialapp.ops import liveness

# Seconds without a heartbeat after which beat, or whoever runs its tasks, counts as down.
BEAT_SILENCE = 5
DURABLE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


def live(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "up"}, headers={"Cache-Control": "no-store"})


def ready(request: HttpRequest) -> JsonResponse:
    """503 when this process cannot do its job; otherwise 200, `degraded` when something that it can spare is down."""
    found = {name: _checked(check) for name, check in _checks().items()}
    serves = can_serve({name for name, entry in found.items() if entry["status"] == "up"})
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
        "cache": lambda: _ping(valkey.read_cache()),
        "state": lambda: _ping(valkey.state()),
        "log": _log,
        "workers": _workers,
        "beat": _beat,
    }


def _checked(check: Callable[[], dict]) -> dict:
    try:
        return {"status": "up"} | check()
    except Exception as error:  # whatever is wrong with a dependency, the answer says so
        # The class only: messages of drivers name hosts and users.
        return {"status": "down", "error": type(error).__name__}


def _primary() -> dict:
    with connections[routing.PRIMARY].cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        return {"status": "down", "error": "is a replica"} if cursor.fetchone()[0] else {}


def _replica(alias: str) -> dict:
    source, beat = routing.look(alias)
    lag = routing.lag(beat)
    used = lag <= settings.REPLICA_MAX_LAG and not routing.ejected(alias)
    return {"lag_seconds": round(lag, 3), "position": source.position, "used": used}


def _ping(client) -> dict:
    client.ping()
    return {}


def _log() -> dict:
    """202 means on disk: a log that may lose or evict what it has answered is as bad as none."""
    try:
        found = valkey.command_log().config_get(*DURABLE)
    except ResponseError:
        # A managed service that does not let us look; then its operator has to.
        return _ping(valkey.command_log())
    wrong = [name for name, value in DURABLE.items() if found.get(name) != value]
    return {"status": "down", "error": f"set {', '.join(wrong)}"} if wrong else {}


def _workers() -> dict:
    names = liveness.alive("worker")
    return {"status": "up" if names else "down", "alive": names}


def _beat() -> dict:
    silence = heartbeat.silence()
    return {"status": "up" if silence < BEAT_SILENCE else "down", "silence_seconds": round(silence, 3)}
