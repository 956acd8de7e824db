"""What a batch of commands does, besides its SQL: outcomes and events. Handlers report here; apply writes it down."""

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import orjson

from socialapp.cqrs import commands, server_time, statements
from socialapp.cqrs.commands import Envelope, Statement
from socialapp.cqrs.deferrals import Held
from socialapp.cqrs.events import Recorded
from socialapp.cqrs.ids import partition_of
from socialapp.cqrs.models import CommandResult
from socialapp.cqrs.problems import KEY_REUSED, IdempotencyKeyReused, Problem

# Without a stamp a command is accepted now. A stamp from a clock that is ahead dates nothing into the future.
CLAIM = """
    WITH clock AS MATERIALIZED (
        SELECT clock_timestamp() AS now
    ), claimed AS (
        INSERT INTO cqrs_commandresult
            (id, type, actor_id, idempotency_key, fingerprint, resource_type, resource_id, accepted_at, outcome)
        SELECT id, type, actor_id, idempotency_key, fingerprint, resource_type, resource_id,
               least(accepted_at, now), 'applied'
        FROM clock, json_to_recordset(%s::json) AS new (
            id uuid, type text, actor_id uuid, idempotency_key text, fingerprint text, resource_type text,
            resource_id uuid, accepted_at timestamptz)
        ON CONFLICT DO NOTHING RETURNING id
    )
    SELECT now, id FROM clock LEFT JOIN claimed ON true
"""
# For a command that is executed at once: a key may also belong to a command that waits in the inbox.
CLAIM_UNLESS_KEPT = CLAIM.replace(
    "ON CONFLICT",
    """WHERE NOT EXISTS (
            SELECT FROM cqrs_inboxcommand AS kept
            WHERE kept.actor_id = new.actor_id AND kept.idempotency_key = new.idempotency_key)
        ON CONFLICT""",
)
# Commands whose idempotency key belongs to another request. Their own rows have no key, as that is taken.
REJECT_REUSED = """
    INSERT INTO cqrs_commandresult
        (id, type, actor_id, fingerprint, resource_type, resource_id, accepted_at, outcome, problem)
    SELECT new.id, new.type, new.actor_id, new.fingerprint, new.resource_type, new.resource_id,
           least(new.accepted_at, clock_timestamp()), 'rejected', %s::jsonb
    FROM json_to_recordset(%s::json) AS new (
        id uuid, type text, actor_id uuid, idempotency_key text, fingerprint text, resource_type text,
        resource_id uuid, accepted_at timestamptz)
    JOIN cqrs_commandresult AS first
        ON first.actor_id = new.actor_id AND first.idempotency_key = new.idempotency_key AND first.id <> new.id
    WHERE (first.type, first.fingerprint) IS DISTINCT FROM (new.type, new.fingerprint)
    ON CONFLICT DO NOTHING
"""


class Claimed(NamedTuple):
    """ids: of commands that had no result yet. now: by the primary's clock."""

    ids: set[UUID]
    now: datetime


@dataclass
class Effects:
    """Collected over one transaction. A command that is neither rejected nor deferred counts as applied.

    held: aggregates on which earlier commands wait. impatient: commands that have waited long enough. xid: of the
    transaction, for who tells of the outcome. now: by the primary's clock, once the commands are claimed. alone: there
    is one command in the transaction; then `rows` are those of its handler's first statement, once it was executed, and
    `last` is to be executed along with the commit.
    """

    held: Held = field(default_factory=Held)
    impatient: Set[UUID] = frozenset()
    problems: dict[UUID, Problem] = field(default_factory=dict)
    events: list[Recorded] = field(default_factory=list)
    deferred: set[UUID] = field(default_factory=set)
    answers: dict[UUID, object] = field(default_factory=dict)
    xid: int = 0
    now: datetime = datetime.max.replace(tzinfo=UTC)
    alone: bool = False
    rows: list[tuple] | None = None
    last: list[Statement] = field(default_factory=list)

    def reject(self, envelope: Envelope, problem: Problem) -> None:
        self.problems[envelope.id] = problem

    def is_overtaken(self, envelope: Envelope, changed_at: datetime | None) -> bool:
        """Whether what a command overwrites was last changed by one that was accepted after it.

        That happens when a dead letter is requeued, or when `reapply_log` reads what a failover has lost. A change that
        is dated into the future was made by a clock that was ahead, and tells nothing.
        """
        return changed_at is not None and envelope.accepted_at < changed_at <= self.now

    def first_rows(self, envelope: Envelope) -> list[tuple]:
        """Of the statement with which the command's handler begins (commands.py); once per command."""
        if self.rows is not None:
            return self.rows
        with statements.cursor() as cursor:
            cursor.execute(*commands.first_statement_of(type(envelope.command))(envelope))
            return cursor.fetchall()

    def write_last(self, statement: Statement) -> None:
        """Execute what returns nothing, now or with the commit: what the handler executes after it may not see it."""
        if self.alone:
            self.last.append(statement)
            return
        with statements.cursor() as cursor:
            cursor.execute(*statement)

    def answer(self, envelope: Envelope, document: object) -> None:
        """What whoever waits for the command may be shown of its effect without another read (execute.py)."""
        self.answers[envelope.id] = document

    def lacks(self, envelope: Envelope, needed: UUID, problem: Problem) -> None:
        """What a command needs is not there: `problem`, unless it may still come.

        On the command's own partition everything before it has been applied; another one may be behind.
        """
        may_come = partition_of(needed) != partition_of(envelope.id)
        if may_come and envelope.id not in self.impatient:
            self.defer(envelope)
        else:
            self.reject(envelope, problem)

    def defer(self, envelope: Envelope) -> None:
        """Try it again soon, and so the later commands on its aggregate. Its handler must not have changed anything."""
        self.deferred.add(envelope.id)
        self.held.add(envelope)

    def time_of(self, envelope: Envelope) -> datetime:
        """When a command was accepted, for people: never later than now, whatever clock made its stamp."""
        return min(envelope.accepted_at, self.now)

    def emit(self, envelope: Envelope, event: object, *, aggregate_id: UUID, aggregate_version: int) -> None:
        """Record a fact; `aggregate_version` was assigned under the lock of the aggregate's row."""
        recorded = Recorded(event, aggregate_id, aggregate_version, self.time_of(envelope), envelope.id)
        self.events.append(recorded)


def perform(envelopes: list[Envelope], effects: Effects) -> None:
    """Run the handlers and correct the results; inside the caller's transaction, which has the events to record.

    `envelopes` holds no command twice, and none that has a result already.
    """
    for layer in layers(envelopes):
        for batch in by_type(layer):
            ready = _ready(batch, effects)
            if ready:
                commands.handler_of(type(ready[0].command))(ready, effects)
    _write_rejections(effects.problems)
    _delete_results(effects.deferred)


def _ready(envelopes: list[Envelope], effects: Effects) -> list[Envelope]:
    """Those that wait for no earlier command on their aggregate; the others are deferred, too."""
    ready = []
    for envelope in envelopes:
        if effects.held.holds(envelope):
            effects.defer(envelope)
        else:
            ready.append(envelope)
    return ready


def claim_results(envelopes: list[Envelope]) -> Claimed:
    """Insert a result for each command that has none yet. The others have been applied before."""
    with statements.cursor() as cursor:
        with statements.with_begin():
            cursor.execute(CLAIM, [_rows_of(envelopes)])
        return _claimed(cursor.fetchall())


def reject_reused(envelopes: list[Envelope]) -> None:
    """Reject those of unclaimed commands whose idempotency key was used first for another request.

    A command under another id with the same request is left alone: both ids tell the first one's outcome.
    """
    keyed = [envelope for envelope in envelopes if envelope.idempotency_key]
    if keyed:
        problem = orjson.dumps(IdempotencyKeyReused(KEY_REUSED).document()).decode()
        with statements.cursor() as cursor:
            cursor.execute(REJECT_REUSED, [problem, _rows_of(keyed)])


def claim_and_begin(envelope: Envelope, effects: Effects) -> Claimed:
    """`claim_results` of the only command in a transaction; the first statement of its handler goes along."""
    first = commands.first_statement_of(type(envelope.command))
    with statements.cursor() as claimed, statements.cursor() as begun:
        with statements.with_begin():
            claimed.execute(CLAIM_UNLESS_KEPT, [_rows_of([envelope])])
            if first:
                begun.execute(*first(envelope))
        effects.rows = begun.fetchall() if first else None
        return _claimed(claimed.fetchall())


def _claimed(rows: list[tuple]) -> Claimed:
    now = rows[0][0]
    server_time.note_primary(now)
    return Claimed({command_id for _, command_id in rows if command_id}, now)


def _rows_of(envelopes: list[Envelope]) -> str:
    rows = [
        {
            "id": envelope.id,
            "type": envelope.type.name,
            "actor_id": envelope.actor_id,
            "idempotency_key": envelope.idempotency_key,
            "fingerprint": envelope.fingerprint,
            "resource_type": envelope.type.resource,
            "resource_id": envelope.resource_id,
            "accepted_at": envelope.accepted_at if envelope.stamp else None,
        }
        for envelope in envelopes
    ]
    # One document: psycopg writes an array element by element, in Python: a third of a drain's time.
    return orjson.dumps(rows).decode()


def layers(envelopes: list[Envelope]) -> list[list[Envelope]]:
    """Split a batch so that commands on one aggregate keep their order, and handlers still get large batches.

    Commands of one type share a layer (their handler takes them in order), and so do types that commute. Any
    other command goes into a later layer than the ones before it on the same aggregate.
    """
    if all(envelope.commutes for envelope in envelopes):
        return [envelopes]
    found: list[list[Envelope]] = []
    last: dict[str, tuple[int, Envelope]] = {}
    for envelope in envelopes:
        depth = max((_depth_after(*last[t], envelope) for t in envelope.touches if t in last), default=0)
        if depth == len(found):
            found.append([])
        found[depth].append(envelope)
        last.update(dict.fromkeys(envelope.touches, (depth, envelope)))
    return found


def _depth_after(depth: int, earlier: Envelope, later: Envelope) -> int:
    if earlier.type is later.type or (earlier.type.commutes and later.type.commutes):
        return depth
    return depth + 1


def by_type(envelopes: list[Envelope]) -> Iterable[list[Envelope]]:
    batches: dict[type, list[Envelope]] = {}
    for envelope in envelopes:
        batches.setdefault(type(envelope.command), []).append(envelope)
    return batches.values()


def _write_rejections(problems: dict[UUID, Problem]) -> None:
    if not problems:
        return
    rows = [
        CommandResult(pk=command_id, outcome=CommandResult.Outcome.REJECTED, problem=problem.document())
        for command_id, problem in problems.items()
    ]
    CommandResult.objects.bulk_update(rows, ["outcome", "problem"], batch_size=500)


def _delete_results(command_ids: Set[UUID]) -> None:
    """A deferred command has not been applied: the next try claims its result again."""
    if command_ids:
        CommandResult.objects.using("default").filter(pk__in=command_ids).delete()
