"""Readers and writers that run production code and stand still before each call to a server.

Each is a greenlet. What lies between two calls runs in one piece, so that whoever decides which actor goes on next
decides the whole interleaving, and the same decisions lead to the same run.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from django.db import connections
from greenlet import getcurrent, greenlet

from socialapp.cqrs import cache, reader, roles, wire

FILL_MANY = cache.fill_many


class Actor(greenlet):
    """waits_for: the call before which it stands. may_write: it reads as a worker does, from the primary only.
    early: it finds every entry about to expire. told_of_fill(slot, content): called when the cache took a fill."""

    def __init__(self, run: Callable, told_of_fill: Callable, *, may_write: bool = False, early: bool = False):
        super().__init__(run)
        self.told_of_fill, self.may_write, self.early = told_of_fill, may_write, early
        self.waits_for = "start"

    def go_on(self) -> None:
        """Make the call that it stands before, and come to the next one or to the end."""
        self.switch()

    def until(self, call: str) -> None:
        """Go on until it stands before `call`."""
        while self.waits_for != call:
            assert not self.dead, f"never came to {call}"
            self.go_on()

    def finish(self) -> None:
        while not self.dead:
            self.go_on()


def stand_still(call: str) -> None:
    """Called by what an actor runs; whoever else calls it goes straight on."""
    actor = getcurrent()
    if isinstance(actor, Actor):
        actor.waits_for = call
        actor.parent.switch()
        actor.waits_for = ""


def after_standing_still(call: str, function: Callable) -> Callable:
    def waiting(*arguments, **options):
        stand_still(call)
        return function(*arguments, **options)

    return waiting


def fill_many(contents, **described):
    stand_still("fill")
    answers = FILL_MANY(contents, **described)
    for (lease, content), filled in zip(contents, answers, strict=True):
        if filled:
            getcurrent().told_of_fill(lease.slot, content)
    return answers


def before_each_statement(execute, sql, params, many, context):
    stand_still("read" if "proof_row" in sql else "position")
    return execute(sql, params, many, context)


@contextmanager
def standing_still(monkeypatch) -> Iterator[None]:
    """While this lasts, actors stand still before each statement and each trip to the cache."""
    with monkeypatch.context() as patched, ExitStack() as wrapped:
        for alias in connections:
            wrapped.enter_context(connections[alias].execute_wrapper(before_each_statement))
        patched.setattr(wire, "get", after_standing_still("get", wire.get))
        patched.setattr(cache, "lookup_many", after_standing_still("lookup", cache.lookup_many))
        patched.setattr(cache, "_invalidate", after_standing_still("invalidate", cache._invalidate))
        patched.setattr(cache, "fill_many", fill_many)
        patched.setattr(roles, "may_write", lambda: getattr(getcurrent(), "may_write", False))
        patched.setattr(reader, "is_due", lambda entry: getattr(getcurrent(), "early", False))
        # Nothing moves while somebody waits: those who find the lease taken look once and read for themselves.
        patched.setattr(reader, "BUSY_WAIT", 0)
        # Leases end when a step says so.
        patched.setattr(cache, "LEASE_TTL", 3_600_000)
        yield
