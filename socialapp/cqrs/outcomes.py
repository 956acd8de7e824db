"""What became of a command: from the log's memory, else from its row in Postgres. Read by both pools."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from threading import BoundedSemaphore
from uuid import UUID

from django.conf import settings

from socialapp.cqrs import log, routing, valkey
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.models import CommandResult

# Seconds between two looks at a pending command: short at first, as most are applied within 20 ms.
PAUSES = (0.004, 0.004, 0.008, 0.008, 0.016, 0.032)
LONGEST_PAUSE = 0.05

# Each waiter holds a thread. The rest of them stay free, so that nobody can stop a server by waiting.
_waiters = BoundedSemaphore(settings.MOST_WAITERS)


@dataclass(frozen=True, slots=True)
class Outcome:
    """status: accepted, applied, rejected or failed. token: what a reader must present to see the effect.

    confirmed: whether every cache entry that the command made stale is known to be gone.
    """

    status: str
    type: str
    actor_id: str | None
    resource_type: str
    resource_id: str
    problem: dict | None = None
    timeline: int = 0
    position: int = 0
    confirmed: bool = False

    @property
    def settled(self) -> bool:
        return self.status != "accepted"

    def token(self) -> Token:
        return Token(self.timeline, self.position)


def lookup(command_ids: Iterable[UUID]) -> dict[UUID, Outcome]:
    """Outcomes by command id; a command that nobody has heard of is absent."""
    command_ids = list(command_ids)
    try:
        found = {command_id: _from_status(status) for command_id, status in log.statuses(command_ids).items()}
    except valkey.UNREACHABLE:
        found = {}
    return found | _from_rows([command_id for command_id in command_ids if command_id not in found])


def wait(command_ids: Iterable[UUID], *, seconds: float) -> dict[UUID, Outcome]:
    """Look until every command is settled or `seconds` have passed; just once when too many wait already."""
    if seconds <= 0 or not _waiters.acquire(blocking=False):
        return lookup(command_ids)
    try:
        return _wait(list(command_ids), seconds)
    finally:
        _waiters.release()


def _wait(command_ids: list[UUID], seconds: float) -> dict[UUID, Outcome]:
    deadline = time.monotonic() + min(seconds, 10)
    pauses = iter(PAUSES)
    while True:
        found = lookup(command_ids)
        if all(command_id in found and found[command_id].settled for command_id in command_ids):
            return found
        pause = next(pauses, LONGEST_PAUSE)
        if time.monotonic() + pause > deadline:
            return found
        time.sleep(pause)


def wait_default(seconds: float | None) -> float:
    return settings.CONSISTENCY_WAIT if seconds is None else seconds


def _from_status(status: dict) -> Outcome:
    return Outcome(
        status=status["status"],
        type=status["type"],
        actor_id=status["actor"],
        resource_type=status["resource_type"],
        resource_id=status["resource_id"],
        problem=status.get("problem"),
        timeline=status.get("timeline", 0),
        position=status.get("position", 0),
        confirmed=status.get("confirmed", False),
    )


def _from_rows(command_ids: list[UUID]) -> dict[UUID, Outcome]:
    """From a replica if it has the row, else from the primary. The position is the one that has shown the row."""
    found = {}
    for alias in routing.candidates():
        missing = [command_id for command_id in command_ids if command_id not in found]
        if not missing:
            break
        rows = list(CommandResult.objects.using(alias).filter(pk__in=missing))
        timeline, position = routing.position(alias) if rows else (0, 0)
        found |= {row.pk: _from_row(row, timeline, position) for row in rows}
    return found


def _from_row(row: CommandResult, timeline: int, position: int) -> Outcome:
    actor = str(row.actor_id) if row.actor_id else None
    return Outcome(
        row.outcome, row.type, actor, row.resource_type, str(row.resource_id), row.problem, timeline, position
    )
