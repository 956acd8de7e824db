"""Postgres connections that do not wait for ever: `statement_timeout` is the server's, and a frozen server has none.

The pools of the web servers are made of them (config/settings/databases.py), so nothing of Django is imported here.
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


class PatientConnection(psycopg.Connection):
    """Raises NoAnswer, and is closed, when an answer does not come within a block of `answered_within`.

    One that its server has closed takes its pool's idle ones with it: after a restart they are as dead, and the pool,
    which tests one at a time and rests a second, then two in between, would find that out too slowly for a request.
    """

    longest: float | None = None

    def execute(self, query, params=None, **options):
        """An empty query is the pool's test of a connection that it hands out. A server that has gone away has closed
        it, which shows without asking; to ask each time would take a tenth of what a short write takes."""
        if query == "" and not self.closed and not _has_news(self.fileno()):
            return None
        return super().execute(query, params, **options)

    def _start_query(self):
        """Of psycopg: before each statement. It would wait for the BEGIN of a pipeline, which may as well go along."""
        if self._pipeline and not self.autocommit and self.info.transaction_status == TransactionStatus.IDLE:
            yield from self._exec_command(self._get_tx_start_command())
        else:
            yield from super()._start_query()

    def wait(self, gen, interval=POLL, timeout=None):
        try:
            return self._wait(gen, interval, timeout)
        except psycopg.OperationalError as error:
            if self.closed and getattr(self, "_pool", None) and not isinstance(error, NoAnswer):
                self._pool.drain()
            raise

    def _wait(self, gen, interval, timeout):
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
    """The same everywhere, after LONGEST."""

    longest = LONGEST


def _has_news(descriptor: int) -> bool:
    """Whether there is something to read, of which the end is a kind. An idle connection has none."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
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
