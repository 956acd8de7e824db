"""Postgres connections that do not wait for ever: `statement_timeout` is the server's, and a frozen server has none.

The pools of those who read are made of them (config/settings/databases.py), so nothing of Django is imported here;
`postgres` makes those of the others.
"""

import select
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import psycopg
from psycopg.pq import TransactionStatus

# Seconds. A living server cancels a statement half a second earlier, and says so.
LONGEST = 3.5
# Seconds between two looks whether the answer has come.
POLL = 0.1

_seconds: ContextVar[float | None] = ContextVar("seconds", default=None)


class NoAnswer(psycopg.OperationalError):
    """The server took the statement and said nothing: it is frozen, cut off, or hopelessly busy."""


@contextmanager
def answered_within(seconds: float) -> Iterator[None]:
    """Statements of this block are given up after `seconds`; never more than LONGEST."""
    outer = _seconds.set(min(seconds, LONGEST))
    try:
        yield
    finally:
        _seconds.reset(outer)


def at_most(seconds: float) -> float:
    """As many seconds, or what the block of `answered_within` allows."""
    return min(seconds, _seconds.get() or seconds)


class PatientConnection(psycopg.Connection):
    """Raises NoAnswer, and is closed, when an answer does not come within a block of `answered_within`."""

    longest: float | None = None

    def _start_query(self):
        """Of psycopg: before each statement. It would wait for the BEGIN of a pipeline, which may as well go along."""
        if self._pipeline and not self.autocommit and self.info.transaction_status == TransactionStatus.IDLE:
            yield from self._exec_command(self._get_tx_start_command())
        else:
            yield from super()._start_query()

    def wait(self, gen, interval=POLL, timeout=None):
        seconds = _seconds.get() or self.longest
        if seconds is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(_bounded(gen, max(1, round(seconds / POLL))), POLL, timeout)
        except NoAnswer:
            # The answer may still come, and must not be taken for the next statement's.
            self.close()
            raise


class BoundedConnection(PatientConnection):
    """The same everywhere, after LONGEST.

    One that its server has closed takes its pool's idle ones with it: after a restart they are as dead, and the pool,
    which tests one at a time and rests a second, then two in between, would find that out too slowly for a request.
    """

    longest = LONGEST

    def execute(self, query, params=None, **options):
        """An empty query is the pool's test of a connection that it hands out: it shows without asking."""
        if query == "" and not self.closed and not has_news(self):
            return None
        return super().execute(query, params, **options)

    def wait(self, gen, interval=POLL, timeout=None):
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError as error:
            if self.closed and getattr(self, "_pool", None) and not isinstance(error, NoAnswer):
                self._pool.drain()
            raise


def has_news(connection: psycopg.Connection) -> bool:
    """Whether there is something to read, of which the end is a kind: a server that has gone away has closed it.

    An idle connection of a living server has none; to ask it each time would be a tenth of what a short write takes.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _bounded(gen, polls: int):
    """Pass a generator of psycopg's through. Counts silent polls, not seconds: a process that was busy with
    something else for a while has not asked, and the answer is there when it does."""
    silent = 0
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            silent = 0 if ready else silent + 1
            if silent >= polls:
                raise NoAnswer("the server does not answer")
            wanted = gen.send(ready)
    except StopIteration as done:
        return done.value
