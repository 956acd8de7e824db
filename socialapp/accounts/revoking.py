"""Revocations on the primary, which is where they are true, and the way from there to every process.

A trigger of the users' table records lost rights and changed passwords, `refresh` records sessions that have ended. A
task shares the rows with the state store once a second; a process that has just caused one does not wait for the task.
"""

import logging
import secrets
import time
from datetime import timedelta

from django.db import Error, connections
from django.db.models.functions import Now

from socialapp.accounts.models import Revocation as Row
from socialapp.cqrs import keys, roles, routing, servers, valkey
from socialapp.cqrs.deadlines import answered_within
from socialapp.cqrs.problems import Unavailable
from socialapp.cqrs.routing import DOWN, PRIMARY, Requirement
from socialapp.identity.revocations import KEPT, MOST, Revocation, encoded

logger = logging.getLogger(__name__)

WINDOW = timedelta(seconds=KEPT)
# Rows are deleted when they have been out of the window for a while.
FORGOTTEN = 3 * WINDOW
# Rows per round trip.
BATCH = 1_000
# Seconds for which the stream counts as complete; with OLDEST less than the 5 s in which a right must be lost.
COMPLETE = 2.0
# Seconds that a request waits for the rows of one server.
PATIENCE = 1.0
COLUMNS = ("user_id", "version", "session_id", "kept_id")


def share() -> int:
    """Add to the state store what it has not; returns how many rows that were. Then it is complete for a while.

    Raises valkey.UNREACHABLE or django.db.Error. A row may be added twice, which changes nothing.
    """
    state, shared, began = valkey.state(), 0, time.monotonic()
    server = state.info("server")["run_id"].encode()
    rows = Row.objects.using(PRIMARY).filter(at__gt=Now() - WINDOW).order_by("pk")
    # Another server, or one that was started again, may lack what was added last.
    generation = state.get(keys.revocations("generation")) or b""
    if not generation.startswith(server):
        generation = server + secrets.token_hex(4).encode()
    else:
        rows = rows.filter(is_shared=False)
    last = 0
    while batch := list(rows.filter(pk__gt=last)[:BATCH]):
        _add(state, [_revocation(row.user_id, row.version, row.session_id, row.kept_id) for row in batch])
        last = batch[-1].pk
        Row.objects.using(PRIMARY).filter(pk__in=[row.pk for row in batch]).update(is_shared=True)
        shared += len(batch)
    state.set(keys.revocations("generation"), generation)
    left = COMPLETE - (time.monotonic() - began)
    if left > 0:
        state.set(keys.revocations("complete"), generation, px=int(left * 1000) + 1)
    return shared


def share_now() -> None:
    """After the commit of a revocation. What fails here is made up for by the task."""
    try:
        share()
    except (*valkey.UNREACHABLE, Error) as error:
        logger.warning("a revocation reaches the other processes a second later: %s", error)


def _add(state, revocations: list[Revocation]) -> None:
    seconds, _ = state.time()
    oldest = (seconds - KEPT) * 1000
    pipeline = state.pipeline(transaction=False)
    for revocation in revocations:
        pipeline.xadd(keys.revocations("stream"), encoded(revocation), maxlen=MOST)
    pipeline.xtrim(keys.revocations("stream"), minid=oldest)
    pipeline.execute()


def recent() -> list[Revocation]:
    """The newest rows of the window: from the primary, else from a replica. Raises Unavailable or django.db.Error."""
    with routing.requiring(Requirement()), answered_within(PATIENCE):
        try:
            return routing.read_with(_rows, only_primary=True).result
        except (Unavailable, *DOWN):
            # Routing offers a process that writes nothing but the primary.
            if not roles.may_write() or not servers.replicas():
                raise
        return _rows_of_a_replica()


def _rows_of_a_replica() -> list[Revocation]:
    for alias in servers.replicas():
        try:
            return _rows(alias)
        except DOWN as error:
            logger.warning("%s cannot tell what was revoked: %s", alias, error)
            connections[alias].close()
    raise Unavailable("No database can tell what was revoked.")


def _rows(alias: str) -> list[Revocation]:
    rows = Row.objects.using(alias).filter(at__gt=Now() - WINDOW).order_by("-at").values_list(*COLUMNS)[:MOST]
    return [_revocation(*row) for row in reversed(rows)]


def _revocation(user_id, version: int, session_id, kept_id) -> Revocation:
    return Revocation(str(user_id), version, str(session_id or ""), str(kept_id or ""))
