"""Split brain: two servers take writes. Each process finds it by looking at all database servers.

A process of the write pool looks each second, and refuses writes meanwhile if FENCE_WRITES_ON_SPLIT_BRAIN is set.
"""

import logging
import time
from contextlib import suppress
from functools import cache
from threading import Thread

from django.conf import settings
from django.db import Error, connections

from socialapp.cqrs import heartbeat, roles, servers, valkey
from socialapp.cqrs.roles import Role
from socialapp.cqrs.servers import PRIMARY

logger = logging.getLogger(__name__)

# Seconds between two looks, and between two log lines about the same finding.
EVERY = 1.0
REPEATED = 30.0


def found() -> str:
    """What is wrong, or "": as far as this process has looked at the servers in the last seconds."""
    primaries = servers.primaries()
    if len(primaries) > 1:
        where = ", ".join(f"{alias} on timeline {source.timeline}" for alias, source in primaries.items())
        return f"several servers take writes: {where}"
    if why := written_elsewhere():
        return why
    return "heartbeats are written on two timelines" if heartbeat.is_disputed() else ""


def written_elsewhere() -> str:
    """Whether beat writes to another primary than this process does: what is wrong, or ""."""
    ours = servers.primaries().get(PRIMARY)
    if ours is None or ours.lacks_heartbeat or not servers.apart(ours):
        return ""
    present = heartbeat.timeline(ours.timeline)
    return f"this pool's primary is on timeline {ours.timeline}, and heartbeats are written on timeline {present}"


def look_around() -> None:
    """Look at every database server; one that does not answer takes REPLICA_TIMEOUT."""
    for alias in settings.DATABASES:
        _look_at(alias)


def _look_at(alias: str) -> None:
    try:
        servers.look(alias)
    except Error:
        connections[alias].close()


def refuses_writes() -> bool:
    """Whether the write pool must not write now. Starts the process's watch at its first call."""
    if roles.current() is not Role.WRITE:
        return False
    _start_watch()
    return settings.FENCE_WRITES_ON_SPLIT_BRAIN and bool(found())


@cache
def _start_watch() -> None:
    # The first request must know, too; without a fence only what time it is by the primary, for its ids.
    if settings.FENCE_WRITES_ON_SPLIT_BRAIN:
        look_around()
    else:
        _look_at(PRIMARY)
    Thread(target=_watch, daemon=True, name="split-brain watch").start()


def _watch() -> None:
    """In a thread of its own, with connections of its own: no request waits for a server that is frozen."""
    reported, at = "", 0.0
    while True:
        try:
            reported, at = _watch_once(reported, at)
        except Exception:
            logger.exception("the split-brain watch failed; it looks again in %s s", EVERY)
        time.sleep(EVERY)


def _watch_once(reported: str, at: float) -> tuple[str, float]:
    """What is found now, and when a finding was logged last."""
    look_around()
    why = found()
    if why and (why != reported or time.monotonic() - at > REPEATED):
        logger.error("split brain: %s. Stop one of the primaries; see operating.md.", why)
        at = time.monotonic()
    if elsewhere := written_elsewhere():
        with suppress(*valkey.UNREACHABLE):
            heartbeat.dispute(elsewhere)
    return why, at
