"""The inbox: a table on the primary that takes commands while the log is down.

`submit` puts them there; `log` reads them together with its streams once it is back; `outcomes` looks them up. They
are applied from here, in the order of their stamps, and under the ids that a timed-out append may have used as well.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import connections

from socialapp.cqrs import clocks, routing
from socialapp.cqrs.commands import LARGEST_STAMP, Envelope
from socialapp.cqrs.deadlines import answered_within
from socialapp.cqrs.ids import PARTITIONS, partition_of
from socialapp.cqrs.models import CommandResult, InboxCommand
from socialapp.cqrs.routing import PRIMARY

logger = logging.getLogger(__name__)

# Seconds that a request gives the primary to take its command: with the log's timeout before it, four in all.
PUT_TIMEOUT = 2.0
# A request with a new idempotency key asks whether the inbox has it; for this many seconds after an empty answer, or
# none, it does not. So of two requests within a second, one of which met a failing log, each may get an id of its
# own; applying keeps the first, and both ids then tell its outcome.
GLANCE = 1.0

# The row of the clock gives a partition's commands their order, by the primary's clock and what the client has
# seen. No stamp is returned when that was too far ahead, when a limit in bytes is reached, or when the key is in use,
# also by a command that was applied before the log went down. Asking for the table's size takes microseconds; after a
# long inbox was applied, autovacuum makes it small again. An empty inbox, or one without a command of the user, takes
# any command.
PUT = f"""
    WITH present AS MATERIALIZED (
        SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now
    ), room AS MATERIALIZED (
        SELECT CASE
            WHEN pg_table_size('cqrs_inboxcommand') >= %(most)s AND EXISTS (SELECT FROM cqrs_inboxcommand) THEN 'full'
            WHEN (SELECT sum(pg_column_size(body)) FROM cqrs_inboxcommand WHERE actor_id = %(actor)s)
                >= %(most_per_user)s THEN 'over quota'
        END AS refusal
    ), clock AS (
        INSERT INTO cqrs_inboxclock AS clock (partition, stamp)
        SELECT %(partition)s, greatest(now, %(after)s + 1) FROM present, room
        WHERE %(after)s <= now + {clocks.MOST_AHEAD} AND refusal IS NULL
        ON CONFLICT (partition) DO UPDATE SET stamp = greatest(
            CASE WHEN clock.stamp < {LARGEST_STAMP} THEN clock.stamp + 1 END, excluded.stamp)
        RETURNING stamp
    ), kept AS (
        INSERT INTO cqrs_inboxcommand
            (id, partition, stamp, body, type, actor_id, resource_type, resource_id, idempotency_key, fingerprint)
        SELECT %(id)s, %(partition)s, clock.stamp, %(body)s, %(type)s, %(actor)s, %(resource_type)s, %(resource)s,
               %(key)s, %(fingerprint)s
        FROM clock
        WHERE NOT EXISTS (
            SELECT FROM cqrs_commandresult WHERE actor_id = %(actor)s AND idempotency_key = %(key)s)
        ON CONFLICT DO NOTHING
        RETURNING stamp
    )
    SELECT now, kept.stamp, refusal FROM present CROSS JOIN room LEFT JOIN kept ON true
"""

OLDEST = "SELECT id FROM cqrs_inboxcommand WHERE partition = %s ORDER BY stamp LIMIT %s"

# A question per partition, as counting a long inbox each second would take long.
WAITING = """
    SELECT wanted FROM generate_series(0, %s - 1) AS wanted
    WHERE EXISTS (SELECT FROM cqrs_inboxcommand WHERE partition = wanted)
"""

_empty_until = 0.0


class Full(Exception):
    """The inbox has as many bytes as INBOX_MOST_BYTES allows."""


class OverQuota(Full):
    """As many bytes of one user wait in the inbox as INBOX_MOST_PER_USER allows."""


REFUSALS = {"full": Full, "over quota": OverQuota}


@dataclass(frozen=True, slots=True)
class Kept:
    """A command that is safe. stamp: for the client's token.

    replayed: under the ids of an earlier request with its key; then `stamp` is 0.
    """

    envelope: Envelope
    stamp: int
    replayed: bool = False


def put(envelope: Envelope, *, after_stamp: int) -> Kept:
    """Keep a command durably.

    When its key is in use, under the ids and the fingerprint of the first request with it; the caller compares.

    Raises Full, StampAhead when `after_stamp` is too far ahead, or what routing.DOWN names; it may then have happened.
    """
    with answered_within(PUT_TIMEOUT), connections[PRIMARY].cursor() as cursor:
        cursor.execute(PUT, _row(envelope, after_stamp))
        now, stamp, refusal = cursor.fetchone()
        clocks.require_present(after_stamp, now)
        if stamp is not None:
            return Kept(envelope, clocks.carried(stamp, now))
        earlier = first(envelope) if envelope.idempotency_key or not refusal else None
        if refusal and not earlier:
            raise REFUSALS[refusal](f"the inbox does not take command {envelope.id}")
        return earlier


def glance(envelope: Envelope) -> Kept | None:
    """What was kept, or applied from here, under the idempotency key; None also when nobody can tell."""
    global _empty_until
    if not envelope.idempotency_key or time.monotonic() < _empty_until:
        return None
    try:
        with answered_within(GLANCE):
            if InboxCommand.objects.using(PRIMARY).exists():
                return first(envelope)
    except routing.DOWN as error:
        connections[PRIMARY].close()
        logger.warning("the inbox was not asked for an idempotency key: %s", error)
    _empty_until = time.monotonic() + GLANCE
    return None


def read(partition: int, *, limit: int) -> list[InboxCommand]:
    """The oldest commands of a partition, by stamp; inside the caller's transaction."""
    with connections[PRIMARY].cursor() as cursor:
        # Asked with each batch, and nearly always in vain: the ORM would take as long as all the rest of reading.
        cursor.execute(OLDEST, [partition, limit])
        found = [row[0] for row in cursor.fetchall()]
    return list(InboxCommand.objects.using(PRIMARY).filter(pk__in=found).order_by("stamp")) if found else []


def forget(command_ids: Iterable[UUID]) -> None:
    """They are applied."""
    InboxCommand.objects.using(PRIMARY).filter(pk__in=command_ids).delete()


def backlog(partition: int) -> int:
    with connections[PRIMARY].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM cqrs_inboxcommand WHERE partition = %s", [partition])
        return cursor.fetchone()[0]


def waiting_partitions() -> set[int]:
    with connections[PRIMARY].cursor() as cursor:
        cursor.execute(WAITING, [PARTITIONS])
        return {row[0] for row in cursor.fetchall()}


def first(envelope: Envelope) -> Kept | None:
    """The command that came first with the key of this one, with its fingerprint.

    Commands go from the inbox to the results, and so does this look. Raises what routing.DOWN names.
    """
    same = {"actor_id": envelope.actor_id, "idempotency_key": envelope.idempotency_key}
    found = (
        InboxCommand.objects.using(PRIMARY).filter(**same).first()
        or CommandResult.objects.using(PRIMARY).filter(**same).first()
    )
    if found is None:
        return None
    earliest = replace(envelope, id=found.pk, resource_id=found.resource_id, fingerprint=found.fingerprint)
    return Kept(earliest, 0, replayed=True)


def newest_key() -> datetime | None:
    """When the newest command with an idempotency key was accepted that has a result."""
    keyed = CommandResult.objects.using(PRIMARY).filter(idempotency_key__isnull=False)
    return keyed.order_by("-accepted_at").values_list("accepted_at", flat=True).first()


def _row(envelope: Envelope, after_stamp: int) -> dict:
    return {
        "partition": partition_of(envelope.id),
        "after": after_stamp,
        "id": envelope.id,
        "body": envelope.encode().decode(),
        "type": envelope.type.name,
        "actor": envelope.actor_id,
        "resource_type": envelope.type.resource,
        "resource": envelope.resource_id,
        "key": envelope.idempotency_key,
        "fingerprint": envelope.fingerprint,
        "most": settings.INBOX_MOST_BYTES,
        "most_per_user": settings.INBOX_MOST_PER_USER,
    }
