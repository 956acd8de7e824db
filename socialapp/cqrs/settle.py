"""After the commit: drop what became stale, then tell whoever waits. Repeating it is harmless."""

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from uuid import UUID

from django.db import connections

from socialapp.cqrs import events, fragments, invalidation, log, routing, valkey, waking
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.consumers import consumer
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.failures import is_infrastructure
from socialapp.cqrs.models import CommandResult
from socialapp.cqrs.servers import Place
from socialapp.cqrs.together import Together

logger = logging.getLogger(__name__)

# Entries per batch: a celebrity's new name makes a hundred thousand stale, and readers want the next batch soon.
MOST_REFILLED = 100
# Entries that a transaction may have dropped in a run with others.
MOST_SHARED = 100
# Events of one executed command that a repeat of it settles again; with more it is left to the consumer `cache`.
MOST_EVENTS = 500
# Seconds between runs. Only under load does anybody wait for it, and then longer for a processor.
APART = 0.01
BEYOND = """
    SELECT DISTINCT command_id FROM cqrs_event
    WHERE command_id = ANY(%s) AND (xid, position) > (%s::text::xid8, %s)
"""


@dataclass(frozen=True, slots=True)
class Settled:
    """Where the effect can be seen. confirmed: every stale cache entry is known to be gone; dropped: keys of those."""

    timeline: int
    position: int
    confirmed: bool
    dropped: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Committed:
    """What a transaction has made stale, and kinds of aggregates that its events are about; position: after it."""

    keys: set[str]
    aggregates: set[str]
    timeline: int
    position: int


def settle(happened: list[object]) -> Settled:
    """Invalidate what `happened` (events) makes stale, at the primary's present position, and wake the consumers.

    Raises routing.DOWN. After any other failure the invalidation is unconfirmed.
    """
    if happened:
        _wake({events.type_of(event).aggregate for event in happened})
    place = routing.position(routing.PRIMARY)
    stale = _stale(happened)
    dropped = None if stale is None else invalidation.at_once(stale, place=place)
    return Settled(*place, dropped is not None, frozenset(dropped or ()))


def _wake(aggregates: set[str]) -> None:
    try:
        waking.wake_consumers(aggregates)
    except Exception as error:
        if is_infrastructure(error):
            raise
        logger.exception("event consumers were not woken; the next tick does it")


def _stale(happened: list[object]) -> set[str] | None:
    """None when a domain's declaration fails: the consumer `cache` meets the same error, and parks the event."""
    try:
        return events.stale_keys(happened)
    except Exception:
        logger.exception("what became stale in the read cache cannot be told")
        return None


def settle_committed(happened: list[object], timeline: int, position: int) -> bool:
    """`settle` after a transaction whose place is known: whether every stale cache entry is known to be gone.

    Others that commit meanwhile in this process are settled along with it; but who has much to drop keeps none waiting.
    Raises nothing: the transaction has been committed, and the consumer `cache` repeats what failed.
    """
    if not happened:
        return True
    try:
        return _settle_committed(happened, timeline, position)
    except Exception:
        logger.exception("a committed transaction was not settled; the consumer `cache` does it from its events")
        return False


def _settle_committed(happened: list[object], timeline: int, position: int) -> bool:
    aggregates = {events.type_of(event).aggregate for event in happened}
    committed = Committed(events.stale_keys(happened), aggregates, timeline, position)
    if len(committed.keys) > MOST_SHARED:
        _wake_for([committed])
        return _drop_all([committed])
    return _dropped_together(committed)


def settle_again(command_id: UUID) -> Settled | None:
    """Repeat the settling of a command that was executed before. None: that failed, which was logged.

    An event that this process does not know yet leaves it unconfirmed.
    """
    try:
        happened, complete = _all_events_of(command_id)
        settled = settle(happened)
    except Exception:
        logger.exception("the events of command %s were not settled again", command_id)
        return None
    return settled if complete else replace(settled, confirmed=False)


def _all_events_of(command_id: UUID) -> tuple[list[object], bool]:
    """(events, whether they are all that the command recorded)."""
    recorded, complete = events.read_page("command_id = %s", [command_id], limit=MOST_EVENTS)
    return [one.event for one in recorded], complete


def _wake_for(several: list[Committed]) -> None:
    """Raises nothing: a consumer that is not woken looks within a second by itself."""
    try:
        waking.wake_consumers(set().union(*(committed.aggregates for committed in several)))
    except Exception:
        logger.exception("event consumers were not woken")


def _drop_all(several: list[Committed]) -> bool:
    # One, but for a failover: positions of different histories do not compare.
    histories: dict[int, list[Committed]] = {}
    for committed in several:
        histories.setdefault(committed.timeline, []).append(committed)
    dropped = [
        invalidation.at_once(
            set().union(*(one.keys for one in those)), place=Place(timeline, max(one.position for one in those))
        )
        for timeline, those in histories.items()
    ]
    return None not in dropped


# Of those who share a run only the first waits until the consumers are woken, which takes as long again.
_dropped_together = Together(_drop_all, after=_wake_for, apart=APART)


def refill(settled: Settled) -> None:
    """Put back what readers had in use, so that the next of them need not wait for a database.

    Best effort and last of all: whatever is not put here, the next reader puts.
    """
    hot = sorted(settled.dropped)[:MOST_REFILLED]
    try:
        fragments.refill(hot)
    except (*valkey.UNREACHABLE, *routing.DOWN, routing.Unavailable) as error:
        logger.warning("entries in use were not put back: %s", error)


def announce(envelopes: list[Envelope], effects: Effects, settled: Settled) -> None:
    """Publish the outcomes of commands that were applied just now."""
    statuses = {}
    for envelope in envelopes:
        problem = effects.problems.get(envelope.id)
        outcome = {"status": "rejected", "problem": problem.document()} if problem else {"status": "applied"}
        described = log.described(envelope) | {"xid": effects.xid}
        statuses[envelope.id] = _status(outcome, described, settled)
    log.publish(statuses)


def announce_failed(envelope: Envelope) -> None:
    """Publish that a command came to nothing, without a row."""
    log.publish({envelope.id: log.described(envelope) | {"status": CommandResult.Outcome.FAILED.value}})


def announce_again(dropped: list[Envelope]) -> set[UUID]:
    """Repeat the settling of commands that had been applied before: a crash may have come in between.

    Returns the ids of those that have an outcome. One has none while the command that came first with its idempotency
    key is deferred, or after an operator has requeued it.
    """
    recorded, complete = events.of_commands([envelope.id for envelope in dropped])
    settled = settle([one.event for one in recorded])
    if not complete:
        # A newer process caused what this one cannot invalidate.
        settled = replace(settled, confirmed=False)
    rows = CommandResult.objects.using("default").in_bulk([envelope.id for envelope in dropped])
    statuses = {}
    for envelope in dropped:
        row = rows.get(envelope.id) or _same_key(envelope)
        if row is None:
            continue
        outcome = {"status": row.outcome, "problem": row.problem}
        described = log.described(envelope) | {"resource_id": row.resource_id}
        statuses[envelope.id] = _status(outcome, described, settled)
    log.publish(statuses)
    return set(statuses)


def _status(outcome: dict, described: dict, settled: Settled) -> dict:
    seen = {"timeline": settled.timeline, "position": settled.position, "confirmed": settled.confirmed}
    return outcome | described | seen


def _same_key(envelope: Envelope) -> CommandResult | None:
    """The command that was applied under this one's idempotency key, after the log forgot the first claim."""
    if envelope.idempotency_key is None:
        return None
    same = CommandResult.objects.using("default")
    return same.filter(actor_id=envelope.actor_id, idempotency_key=envelope.idempotency_key).first()


@consumer("cache", outside=True)
def repeat_invalidations(recorded: list[events.Recorded]) -> None:
    """Durably repeat what `settle` does, for the worker that died or found no cache, and then confirm it."""
    statuses = log.statuses(list({r.command_id for r in recorded}))
    confirmed = {command_id for command_id, status in statuses.items() if status.get("confirmed")}
    # Of the transaction that applied the command. What consumers have made of its events later names it, too.
    settled = {(command_id, statuses[command_id].get("xid")) for command_id in confirmed}
    left = [r.event for r in recorded if (r.command_id, r.xid) not in settled]
    if not left:
        return
    invalidation.again(events.stale_keys(left), place=routing.position(routing.PRIMARY))
    unconfirmed = statuses.keys() - confirmed - _with_events_beyond(recorded[-1], statuses)
    log.publish(
        {
            command_id: statuses[command_id] | {"confirmed": True}
            for command_id in unconfirmed
            if statuses[command_id]["status"] != "accepted"
        }
    )


def _with_events_beyond(last: events.Recorded, command_ids: Collection[UUID]) -> set[UUID]:
    """Commands of which a later batch still has events to invalidate for, maybe of a type that is not known here."""
    with connections["default"].cursor() as cursor:
        cursor.execute(BEYOND, [list(command_ids), str(last.xid), last.position])
        return {row[0] for row in cursor.fetchall()}
