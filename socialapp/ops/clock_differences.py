"""By how much the clocks of this process, of the Valkeys and of the workers differ from the primary's.

For health and metrics. A difference is the least that the answers prove: the time that asking takes is no difference.
"""

import time
from collections.abc import Callable
from contextlib import suppress

from django.db import connections
from redis import Redis

from socialapp.cqrs import servers, valkey
from socialapp.cqrs.deadlines import answered_within
from socialapp.ops import liveness

# Seconds. Well below clocks.MOST_AHEAD, from which on tokens are refused.
ALARMING = 2.0
# Seconds that the primary may take to say what time it is.
TIMEOUT = 0.5
SELF = "this process"

VALKEYS = {"cache": valkey.read_cache, "state": valkey.state, "log": valkey.command_log}


def all_differences() -> dict[str, float]:
    """Seconds by which each clock is ahead of the primary's, by the server's name. Those that do not answer are absent.

    Raises django.db.Error when the primary does not say what time it is.
    """
    ours = -measured(_primary_time)
    found = {SELF: ours}
    for name, client in VALKEYS.items():
        with suppress(*valkey.UNREACHABLE):
            for number, server in enumerate(valkey.primaries(client()), start=1):
                found[f"{name}-{number}" if number > 1 else name] = measured(lambda server=server: _time(server)) + ours
    with suppress(*valkey.UNREACHABLE):
        # Workers compare themselves with the state store.
        found |= {name: ahead + found["state"] for name, ahead in liveness.clocks().items() if "state" in found}
    return found


def alarming(differences: dict[str, float]) -> dict[str, float]:
    return {name: round(ahead, 3) for name, ahead in differences.items() if abs(ahead) > ALARMING}


def measured(ask: Callable[[], float]) -> float:
    """Seconds by which a clock is certainly ahead of this process's; negative when it is behind."""
    before = time.time()
    theirs = ask()
    after = time.time()
    return max(theirs - after, 0.0) + min(theirs - before, 0.0)


def _primary_time() -> float:
    with answered_within(TIMEOUT), connections[servers.PRIMARY].cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float")
        return cursor.fetchone()[0]


def _time(server: Redis) -> float:
    seconds, microseconds = server.time()
    return seconds + microseconds / 1e6
