"""What became of a command: from the log's memory, else from a row in Postgres. Read by both pools."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from threading import BoundedSemaphore
from uuid import UUID

from django.conf import settings
from django.db import Error
from django.db.models.expressions import RawSQL

from socialapp.cqrs import heartbeat, log, routing, servers, valkey
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.consistency import MOST_PENDING, Token
from socialapp.cqrs.deadlines import answered_within
from socialapp.cqrs.failures import may_succeed_elsewhere
from socialapp.cqrs.models import CommandResult, InboxCommand
from socialapp.cqrs.problems import Unavailable

# Seconds between two looks at a pending command: short at first, as most are applied within 20 ms.
PAUSES = (0.004, 0.004, 0.008, 0.008, 0.016, 0.032)
LONGEST_PAUSE = 0.05

# Each waiter holds a thread. The rest of them stay free, so that nobody can stop a server by waiting.
_waiters = BoundedSemaphore(settings.MOST_WAITERS)
# A frozen log costs two seconds to find out; the rows answer meanwhile.
_breaker = Breaker(open_for=(0.5, 1.5), probe=3.0)

# What the read role may see of a command: not its payload, nor its idempotency key.
OF_A_COMMAND = ("id", "type", "actor_id", "resource_type", "resource_id")
OF_A_RESULT = (*OF_A_COMMAND, "outcome", "problem")

# Whether the consumer that repeats every invalidation (settle.py) has passed all events of a command, and could
# digest each. A replica shows an older offset than the primary, never a newer one.
CONFIRMED = """
    NOT EXISTS (
        SELECT FROM cqrs_event AS event
        LEFT JOIN cqrs_consumeroffset AS read ON read.consumer = 'cache'
        LEFT JOIN cqrs_parkedevent AS parked ON parked.consumer = 'cache' AND parked.event_position = event.position
        WHERE event.command_id = cqrs_commandresult.id
          AND (parked.id IS NOT NULL OR read.consumer IS NULL
               OR (event.xid, event.position) > (read.xid, read.position)))
"""


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
    """Outcomes by command id; a command that nobody has heard of is absent.

    Raises Unavailable when that cannot be known: it may wait in a log that does not answer, or a primary that does
    not may have it.
    """
    command_ids = list(dict.fromkeys(command_ids))
    found, unknown = _look(command_ids)
    if len(found) + len(unknown) < len(command_ids):
        raise Unavailable("What became of the command cannot be looked up now.")
    return found


def wait(command_ids: Iterable[UUID], *, seconds: float) -> dict[UUID, Outcome]:
    """`wait_or_unknown`, for a caller to whom an unknown command is one of which nothing can be learnt."""
    return wait_or_unknown(command_ids, seconds=seconds)[0]


def wait_or_unknown(command_ids: Iterable[UUID], *, seconds: float) -> tuple[dict[UUID, Outcome], set[UUID]]:
    """Look until every command is settled or `seconds` have passed; just once when too many wait already.

    Returns (outcomes, unknown commands). Unknown means that the log, the inbox and the primary's results were all asked
    and none has it: it was lost with the log, and is not waited for. A command of which nothing can be learnt, because
    one of them does not answer, is in neither.
    """
    command_ids = list(dict.fromkeys(command_ids))
    if seconds <= 0 or not _waiters.acquire(blocking=False):
        return _look(command_ids)
    try:
        return _wait(command_ids, seconds)
    finally:
        _waiters.release()


def _wait(command_ids: list[UUID], seconds: float) -> tuple[dict[UUID, Outcome], set[UUID]]:
    deadline = time.monotonic() + min(seconds, 10)
    pauses = iter(PAUSES)
    while True:
        found, unknown = _look(command_ids)
        settled = {command_id for command_id, outcome in found.items() if outcome.settled}
        if settled | unknown == set(command_ids):
            return found, unknown
        pause = next(pauses, LONGEST_PAUSE)
        if time.monotonic() + pause > deadline:
            return found, unknown
        time.sleep(pause)


def settled_by(token: Token, found: dict[UUID, Outcome]) -> Token:
    """Return the token with the positions of the settled ones; those that are confirmed are no longer pending."""
    done = {command_id: outcome for command_id, outcome in found.items() if outcome.settled}
    for outcome in done.values():
        token = token.merged(outcome.token())
    return token.without(command_id for command_id, outcome in done.items() if outcome.confirmed)


def shortened(token: Token, *, most: int = MOST_PENDING) -> Token:
    """Return the token without commands that the log knows to be confirmed, if it has more than `most`.

    One look at the log, about once in `most` writes of a client that never reads. The token stays as it is when the
    log does not answer.
    """
    if len(token.pending) <= most:
        return token
    try:
        with _breaker:
            statuses = log.statuses(list(token.pending))
    except valkey.UNREACHABLE:
        return token
    return settled_by(token, {command_id: _from_status(status) for command_id, status in statuses.items()})


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


def _look(command_ids: list[UUID]) -> tuple[dict[UUID, Outcome], set[UUID]]:
    """What is known now, and which commands are unknown although everyone was asked."""
    try:
        with _breaker:
            found = {command_id: _from_status(status) for command_id, status in log.statuses(command_ids).items()}
            log_asked = True
    except valkey.UNREACHABLE:
        found, log_asked = {}, False
    missing = [command_id for command_id in command_ids if command_id not in found]
    if not missing:
        return found, set()
    rows, primary_asked = _from_rows(missing)
    return found | rows, set(missing) - rows.keys() if log_asked and primary_asked else set()


def _from_rows(command_ids: list[UUID]) -> tuple[dict[UUID, Outcome], bool]:
    """From a replica if it has the row, else from the primary; and whether the primary was asked for the others."""
    found: dict[UUID, Outcome] = {}
    primary_asked = False
    for alias in routing.candidates():
        missing = [command_id for command_id in command_ids if command_id not in found]
        if not missing:
            break
        try:
            # Before its rows are read: a server that is promoted after that may have lacked some.
            primary_asked = alias == routing.PRIMARY and _is_primary()
            found |= _rows_of(alias, missing)
        except Error as error:
            if not may_succeed_elsewhere(error):
                raise
            primary_asked = False
            servers.eject(alias, servers.UNREACHABLE)
    return found, primary_asked


def _is_primary() -> bool:
    """Whether DATABASE_URL leads to the only primary of today: not to a replica, nor to one side of a split brain."""
    source = servers.look(routing.PRIMARY)
    return not source.is_replica and not servers.apart(source) and not heartbeat.is_disputed()


def _rows_of(alias: str, command_ids: list[UUID]) -> dict[UUID, Outcome]:
    """What a server shows. The inbox is asked first, as commands go from there to the results."""
    with answered_within(settings.REPLICA_TIMEOUT):
        kept = list(InboxCommand.objects.using(alias).filter(pk__in=command_ids).only(*OF_A_COMMAND))
        results = CommandResult.objects.using(alias).filter(pk__in=command_ids).only(*OF_A_RESULT)
        found = list(results.annotate(confirmed=RawSQL(CONFIRMED, [])))  # noqa: S611 a constant
    accepted = {row.pk: _accepted(row) for row in kept}
    if not found:
        return accepted
    # Looked at after the rows, so its position covers them.
    source = servers.look(alias)
    if alias != routing.PRIMARY and servers.apart(source):
        return {}
    return accepted | {row.pk: _from_row(row, source.timeline, source.position) for row in found}


def _accepted(row: InboxCommand) -> Outcome:
    actor = str(row.actor_id) if row.actor_id else None
    return Outcome("accepted", row.type, actor, row.resource_type, str(row.resource_id))


def _from_row(row: CommandResult, timeline: int, position: int) -> Outcome:
    actor = str(row.actor_id) if row.actor_id else None
    return Outcome(
        status=row.outcome,
        type=row.type,
        actor_id=actor,
        resource_type=row.resource_type,
        resource_id=str(row.resource_id),
        problem=row.problem,
        timeline=timeline,
        position=position,
        confirmed=row.confirmed,
    )
