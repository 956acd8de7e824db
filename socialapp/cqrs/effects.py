"""What a batch of commands does, besides its SQL: outcomes and events. Handlers report here; apply writes it down."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connections

from socialapp.cqrs import commands, events
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.events import Recorded
from socialapp.cqrs.models import CommandResult
from socialapp.cqrs.problems import Problem


@dataclass
class Effects:
    """Collected over one transaction. A command that is not rejected counts as applied."""

    problems: dict[UUID, Problem] = field(default_factory=dict)
    events: list[Recorded] = field(default_factory=list)

    def reject(self, envelope: Envelope, problem: Problem) -> None:
        self.problems[envelope.id] = problem

    def emit(self, envelope: Envelope, event: object, *, aggregate_id: UUID, aggregate_version: int) -> None:
        """Record a fact; `aggregate_version` was assigned under the lock of the aggregate's row."""
        recorded = Recorded(event, aggregate_id, aggregate_version, envelope.accepted_at, envelope.id)
        self.events.append(recorded)


def perform(envelopes: list[Envelope]) -> Effects:
    """Insert the results, run the handlers, record the events; inside the caller's transaction.

    `envelopes` holds no command twice, and none that has a result already.
    """
    effects = Effects()
    for layer in layers(envelopes):
        for batch in by_type(layer):
            commands.handler_of(type(batch[0].command))(batch, effects)
    _write_rejections(effects.problems)
    events.record(effects.events)
    return effects


def claim_results(envelopes: list[Envelope]) -> set[UUID]:
    """Insert a result for each command; returns the ids that had none yet. The others have been applied before."""
    columns = [
        [e.id for e in envelopes],
        [e.type.name for e in envelopes],
        [e.actor_id for e in envelopes],
        [e.idempotency_key for e in envelopes],
        [e.fingerprint for e in envelopes],
        [e.type.resource for e in envelopes],
        [e.resource_id for e in envelopes],
        [e.accepted_at for e in envelopes],
    ]
    with connections["default"].cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO cqrs_commandresult
                (id, type, actor_id, idempotency_key, fingerprint, resource_type, resource_id, accepted_at, outcome)
            SELECT *, 'applied' FROM unnest(%s::uuid[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[],
                                            %s::uuid[], %s::timestamptz[])
            ON CONFLICT DO NOTHING RETURNING id
            """,
            columns,
        )
        return {row[0] for row in cursor.fetchall()}


def layers(envelopes: list[Envelope]) -> list[list[Envelope]]:
    """Split a batch so that commands on one aggregate keep their order, and handlers still get large batches.

    Commands of one type share a layer (their handler takes them in order), and so do types that commute. Any
    other command goes into a later layer than the ones before it on the same aggregate.
    """
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
