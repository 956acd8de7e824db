"""When could everybody read a result? Looks at the primary every few milliseconds, and notes it in the ledger.

So the times hold the commit, and any time for which the primary answered nobody. They are late by one look at most.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import psycopg

from deploy.chaos.ledger import Ledger, unseen
from socialapp.cqrs.deadlines import BoundedConnection

# Seconds between two looks; more when there is so much to look for that looking would be a load.
PAUSE = 0.02
SHARE = 8

RESULTS = """
    SELECT wanted.key
    FROM unnest(%s::uuid[], %s::text[]) AS wanted (actor, key)
    JOIN cqrs_commandresult AS result ON result.actor_id = wanted.actor AND result.idempotency_key = wanted.key
"""


class Watch:
    """url: of the primary."""

    def __init__(self, url: str, ledger: Ledger):
        self._url, self._ledger = url, ledger
        self._end = Event()
        self._thread = Thread(target=self._run, daemon=True)

    @contextmanager
    def watching(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._end.set()
            self._thread.join()

    def _run(self) -> None:
        """Connects again after each failure: the primary may be the one that is killed."""
        while not self._end.is_set():
            try:
                with BoundedConnection.connect(self._url, connect_timeout=2, autocommit=True) as connection:
                    self._look_on(connection)
            except psycopg.OperationalError:
                self._end.wait(PAUSE)

    def _look_on(self, connection: psycopg.Connection) -> None:
        while not self._end.is_set():
            started = time.monotonic()
            look(connection, self._ledger)
            self._end.wait(max(PAUSE, SHARE * (time.monotonic() - started)))


def look(connection: psycopg.Connection, ledger: Ledger) -> None:
    wanted = {write.key: write for write in unseen(ledger)}
    if not wanted:
        return
    rows = connection.execute(RESULTS, [[write.actor for write in wanted.values()], list(wanted)]).fetchall()
    now = time.time()
    for (key,) in rows:
        wanted[key].seen = now
