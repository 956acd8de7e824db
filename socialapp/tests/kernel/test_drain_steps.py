"""Each function of a drain fails, once for the whole partition or always for some commands; the others are applied.

The functions are found by watching a drain that has something of everything to do, so that a new one is tried as well.
"""

import importlib
import inspect
import sys
from contextlib import contextmanager, suppress
from itertools import count
from types import FunctionType
from uuid import UUID

import pytest

from posts.commands import CreateComment, CreatePost, LikePost
from posts.models import Comment
from socialapp.cqrs import (
    apply,
    batches,
    cache,
    claims,
    dead_letters,
    deferrals,
    effects,
    events,
    fragments,
    inbox,
    invalidation,
    keys,
    log,
    memory,
    routing,
    settle,
    suspects,
    valkey,
    waking,
)
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.log import Entry
from socialapp.cqrs.models import CommandResult, InboxCommand
from socialapp.cqrs.submit import submit

PARTITION = 11
POISON = "x" * 2001
# Whose functions are made to fail, when one of these calls them.
MODULES = [apply, batches, deferrals, dead_letters, effects, inbox, log, settle, suspects]
CALLED = [*MODULES, cache, claims, invalidation, events, fragments, memory, routing, waking]
# With a command that fails in one of these for ever, its entry is read again for ever, or cannot be buried. They only
# frame other steps, or are given what the stores themselves have said.
FRAMES = {
    "apply._announce_again", "apply._attempt", "apply._find_culprit", "apply._perform", "apply.bisect", "apply.bury",
    "apply.finish", "apply.repaired_later", "apply.retry", "batches._let_go", "batches._set_aside", "batches.defer",
    "batches.let_go", "batches.put_away", "deferrals.put", "deferrals.remove", "inbox.forget", "log.acknowledge",
    "log._entry", "log.put_away", "log._take_over", "claims.remember", "memory.always",
}  # fmt: skip
# What fails here is no command, and is put away: also a command, if it does so once.
DECIDES = {"batches._decode"}


class InjectedError(Exception):
    """Nothing that the code knows of."""


class Partition:
    """victims: a like, and a comment that no database takes. neighbours: comments that have nothing to do with them."""

    def __init__(self, post: UUID, author: UUID):
        self.post, self.author = post, author
        valkey.command_log().flushdb()
        InboxCommand.objects.all().delete()
        repeated = self.comment("applied before")
        log.append(repeated, after_stamp=0)
        apply.drain(PARTITION)
        like = Envelope(new_id(PARTITION), LikePost(), author, post)
        poison = self.comment(POISON)
        unheard = self.comment("of a newer deploy").encode().replace(b"CreateComment", b"Unheard")
        streamed, kept, aside = (self.comment(place) for place in ("in the log", "in the inbox", "set aside"))
        early = Envelope(new_id(PARTITION), LikePost(), new_id(PARTITION + 1), post)
        self.victims, self.neighbours = [like.id, poison.id], [streamed.id, kept.id, aside.id]
        for envelope in (repeated, like, streamed, streamed, poison, early):
            log.append(envelope, after_stamp=0)
        valkey.command_log().xadd(keys.stream(PARTITION), {"c": unheard, "s": 1})
        valkey.command_log().xadd(keys.stream(PARTITION), {"c": b"nothing", "s": 1})
        inbox.put(kept, after_stamp=0)
        deferrals.put(PARTITION, [deferrals.Waiting(Entry(b"", aside.encode(), 1))])

    def comment(self, text: str) -> Envelope:
        return Envelope(new_id(PARTITION), CreateComment(str(self.post), text), self.author, new_id(PARTITION))

    def applies(self, command_ids: list[UUID], *, drains: int) -> bool:
        """Whether commands are applied by so many drains, at most."""
        found = CommandResult.objects.filter(pk__in=command_ids, outcome="applied")
        for _ in range(drains):
            with suppress(InjectedError):
                apply.drain(PARTITION)
            if found.count() == len(command_ids):
                return True
        return False

    def accepts_more(self) -> bool:
        """Whether what is accepted now is applied."""
        later = self.comment("later")
        log.append(later, after_stamp=0)
        return self.applies([later.id], drains=2) and Comment.objects.filter(pk=later.resource_id).exists()


def functions() -> dict[object, str]:
    """{code: name} of what the modules define."""
    return {
        inspect.unwrap(one).__code__: f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in CALLED
        for name, one in vars(module).items()
        if isinstance(inspect.unwrap(one), FunctionType) and one.__module__ == module.__name__
    }


def steps_of_a_drain(partition: Partition) -> dict[str, bool]:
    """{function: whether it is given a victim}."""
    known, steps = functions(), {}
    # A context manager's function is called by contextlib.
    callers = {"contextlib", *(module.__name__ for module in MODULES)}

    def note(frame, event, argument):
        name = known.get(frame.f_code) if event == "call" else None
        if name and not steps.get(name) and frame.f_back.f_globals["__name__"] in callers:
            given = repr(frame.f_locals)
            steps[name] = any(str(victim) in given for victim in partition.victims)

    sys.setprofile(note)
    try:
        apply.drain(PARTITION)
    finally:
        sys.setprofile(None)
    steps.pop("apply.drain", None)
    return steps


@contextmanager
def failing(step: str, is_wrong):
    """A function raises when is_wrong(arguments), by whatever name it is called."""
    part, name = step.split(".")
    original = getattr(importlib.import_module(f"socialapp.cqrs.{part}"), name)

    def fail(*args, **kwargs):
        if is_wrong((args, kwargs)):
            raise InjectedError(step)
        return original(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        for module in CALLED:
            if vars(module).get(name) is original:
                patched.setattr(module, name, fail)
        yield


@pytest.fixture
def partition(author, drain_all, monkeypatch):
    """partition(): a new one with something of everything."""
    monkeypatch.setattr(apply, "BACKOFF", (0, 0))
    post = submit(CreatePost("host"), actor_id=author, resource_id=new_id(PARTITION)).resource_id
    drain_all()
    return lambda: Partition(post, author)


def test_each_step_of_a_drain_may_fail(partition):
    steps = steps_of_a_drain(partition())
    assert {"apply._lock", "log.read", "log._take_over", "deferrals.read", "batches._decode", "suspects.watched",
            "effects.claim_results", "effects.perform", "events.record", "settle.settle", "invalidation.at_once",
            "waking.wake_consumers", "log.publish", "settle.announce_again", "batches.defer", "log.acknowledge",
            "dead_letters.bury", "settle.refill", "log.backlog"} <= steps.keys()  # fmt: skip
    assert steps.keys() >= FRAMES
    stopped = []
    for step in steps.keys() - DECIDES:
        calls, one = count(), partition()
        with failing(step, lambda given, calls=calls: next(calls) == 0):
            if not (one.applies([*one.neighbours, one.victims[0]], drains=3) and one.accepts_more()):
                stopped.append(f"{step}, once")
    for step in (step for step, has_victim in steps.items() if has_victim and step not in FRAMES):
        one = partition()
        with failing(step, lambda given, one=one: any(str(victim) in repr(given) for victim in one.victims)):
            if not (one.applies(one.neighbours, drains=2) and one.accepts_more()):
                stopped.append(f"{step}, always for two commands")
    assert not stopped
