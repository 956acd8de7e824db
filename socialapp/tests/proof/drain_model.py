"""Executable model of a partition's drain: every interleaving of two workers, of which one may die.

`create` makes a post by a user whose registration may come later or never, `twin` is the same request under another id
(one idempotency key), `edit` and `later edit` change the post. Between the steps of a drain commands are accepted, the
user may register, a worker may die, a handler may fail for one command, the settling may fail from some moment on, an
operator may requeue a dead letter once. An entry that was set aside earlier may be one that cannot be decoded any more.
STARTS says which of these are combined.

Safety: no command takes effect twice, or twice under one key; none is lost; one that took effect is not `failed`; no
edit is refused while the creation has no outcome; no edit overwrites a later one.
Progress: whenever both workers are idle, draining a few times more gives each command its outcome.

    python -m socialapp.tests.proof.drain_model                the drain: holds (exit 0)
    python -m socialapp.tests.proof.drain_model --break RULE   without RULE: the shortest trace to a fault (exit 1)
"""

import argparse
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Set
from typing import NamedTuple

RULES = {
    "apart": "an error after the commit is not taken for an error of a command",
    "claimed": "a worker marks as failed only a command whose result it has claimed itself",
    "stale": "an edit that was accepted before the last one that was applied is refused",
    "twin": "a command without an outcome, whose key belongs to a deferred command, is deferred as well",
    "damaged": "an entry that cannot be decoded is put away from where it waits, be it the log or what was set aside",
    "order": "the log is read before what was set aside",
    "put": "a command is set aside before the log lets go of it",
    "once": "a command that has a result is not performed again",
}

# By stamp.
CREATE, TWIN, EDIT, LATER, DAMAGED = COMMANDS = "create", "twin", "edit", "later edit", "damaged"
SAME_KEY = {CREATE: TWIN, TWIN: CREATE}
ON_THE_POST = {CREATE, EDIT, LATER}
# Ends the name of the entry of a command that was requeued.
AGAIN = ", requeued"
NONE: frozenset[str] = frozenset()
# Drains after which everything must be settled; each of four commands may have to wait for another one twice.
ENOUGH = 8


def command_of(entry: str) -> str:
    """A requeued command has an entry of its own, which is let go of by itself."""
    return entry.removesuffix(AGAIN)


def entries_of(entries: Iterable[str], commands: Set[str]) -> frozenset:
    return frozenset(entry for entry in entries if command_of(entry) in commands)


class Worker(NamedTuple):
    """Entries, but for the suspect. step: what it has done last. streamed, aside: what it has read. waits: to be set
    aside. done: to be let go of. dropped: had a result, or a key that had one. suspect: what an error is blamed on."""

    step: str = "idle"
    streamed: frozenset = NONE
    aside: frozenset = NONE
    is_due: bool = False
    waits: frozenset = NONE
    done: frozenset = NONE
    dropped: frozenset = NONE
    suspect: str = ""


class State(NamedTuple):
    """coming: commands that will be accepted; accepted: those that were. unread, pending: entries of the log. aside:
    those that were set aside. results: (command, outcome). effects: commands in the order in which they took effect.
    is_there: the user. faults: what may still happen. is_broken: settling fails. letters: commands that are buried.
    wrong: a fault that was found."""

    coming: tuple = ()
    accepted: tuple = ()
    unread: frozenset = NONE
    aside: frozenset = NONE
    pending: frozenset = NONE
    results: frozenset = NONE
    effects: tuple = ()
    is_there: bool = False
    lock: int | None = None
    workers: tuple = (Worker(), Worker())
    faults: frozenset = NONE
    is_broken: bool = False
    letters: frozenset = NONE
    wrong: str = ""


STARTS = (
    State(coming=(CREATE, TWIN, EDIT), aside=frozenset({DAMAGED}), faults=frozenset({"death"})),
    State(coming=(CREATE, EDIT), is_there=True, faults=frozenset({"death", "handler", "settling"})),
    State(coming=(CREATE, EDIT, LATER), is_there=True, faults=frozenset({"handler", "requeue"})),
)


def outcome(state: State, command: str) -> str | None:
    """Of the command, or of the one that was applied under its key."""
    results = dict(state.results)
    return results.get(command) or results.get(SAME_KEY.get(command))


def put(state: State, i: int, worker: Worker, **change) -> State:
    return state._replace(workers=state.workers[:i] + (worker,) + state.workers[i + 1 :], **change)


def reading_steps(s: State, i: int, broken: str | None) -> Iterator[tuple[str, State]]:
    w = s.workers[i]
    log_first = broken != "order"
    if w.step == "idle" and s.lock is None and (s.unread or s.pending or s.aside):
        yield "takes the lock", put(s, i, Worker("locked"), lock=i)
    if w.step == ("locked" if log_first else "one read"):
        streamed = s.pending or s.unread
        step = "one read" if log_first else "both read"
        moved = {"pending": s.pending | streamed, "unread": s.unread - streamed}
        yield "reads the log", put(s, i, w._replace(step=step, streamed=streamed), **moved)
    if w.step == ("one read" if log_first else "locked"):
        step = "both read" if log_first else "one read"
        for is_due in (False, True) if s.aside else (False,):
            said = "reads what was set aside" + (", which is due" if is_due else "")
            yield said, put(s, i, w._replace(step=step, aside=s.aside, is_due=is_due))


def committing_steps(s: State, i: int, broken: str | None) -> Iterator[tuple[str, State]]:
    w = s.workers[i]
    if w.step != "both read":
        return
    if DAMAGED in w.aside and broken == "damaged":
        yield "fails, as an entry cannot be decoded", put(s, i, Worker(), lock=None)
        return
    ready, waits = chosen(w)
    # These have been set aside before the commit, and under the lock.
    s = s._replace(aside=(s.aside - {DAMAGED}) | (waits & w.streamed), pending=s.pending - waits)
    commands = list(dict.fromkeys(map(command_of, ready)))
    for patient in (True, False) if entries_of(w.aside, SAME_KEY.keys()) and w.is_due else (True,):
        committed, *left = performed(s, commands, patient, broken)
        deferred, dropped = (entries_of(ready, those) for those in left)
        done = frozenset(ready) - deferred - dropped
        after = Worker("committed", w.streamed, w.aside, waits=deferred, done=done, dropped=dropped)
        yield "commits" + ("" if patient else ", and waits for the user no longer"), put(committed, i, after, lock=None)
    if "handler" in s.faults:
        for suspect in commands:
            blamed = w._replace(step="failed", suspect=suspect)
            left = s.faults - {"handler"}
            yield f"fails in the handler of {suspect}", put(s, i, blamed, lock=None, faults=left)


def chosen(w: Worker) -> tuple[list[str], frozenset]:
    """Entries that a batch tries, by stamp, and those that it sets aside, behind what is not due."""
    ready, waits, held = [], set(), False
    found = [(entry, True) for entry in sorted(w.aside - {DAMAGED})] + [(entry, False) for entry in sorted(w.streamed)]
    for entry, was_aside in sorted(found, key=lambda one: COMMANDS.index(command_of(one[0]))):
        on_the_post = command_of(entry) in ON_THE_POST
        if (was_aside and not w.is_due) or (on_the_post and held):
            waits.add(entry)
            held = held or on_the_post
        else:
            ready.append(entry)
    return ready, frozenset(waits)


def performed(s: State, ready: list[str], patient: bool, broken: str | None) -> tuple[State, set, set]:
    """Commands in one transaction: the state after it, which are deferred, and which had a result or a used key."""
    claimed = claimed_of(ready, dict(s.results), broken)
    deferred: set[str] = set()
    for command in claimed:
        is_held = command in ON_THE_POST and deferred & ON_THE_POST
        if is_held or (command in SAME_KEY and not s.is_there and patient):
            deferred.add(command)
        elif command in SAME_KEY:
            s = with_result(s, command, takes_effect=s.is_there)
        else:
            s = edited(s, command, broken)
    return s, deferred, set(ready) - set(claimed)


def claimed_of(ready: list[str], results: dict[str, str], broken: str | None) -> list[str]:
    """Commands that have no result yet, and whose key has none."""
    claimed: list[str] = []
    for command in ready:
        twin = SAME_KEY.get(command)
        if (command not in results or broken == "once") and twin not in results and twin not in claimed:
            claimed.append(command)
    return claimed


def edited(s: State, command: str, broken: str | None) -> State:
    results, overtaken = dict(s.results), command == EDIT and LATER in s.effects
    if CREATE not in s.effects:
        # One that was requeued had been told as failed.
        was_told = SAME_KEY.keys() & results.keys() or CREATE + AGAIN in s.unread | s.pending | s.aside
        wrong = "" if was_told else "an edit was refused before the creation had an outcome"
        return with_result(s, command, takes_effect=False, wrong=wrong)
    if overtaken and broken == "stale":
        return with_result(s, command, takes_effect=True, wrong="an edit has overwritten a later one")
    return with_result(s, command, takes_effect=not overtaken)


def with_result(s: State, command: str, *, takes_effect: bool, wrong: str = "") -> State:
    results = dict(s.results) | {command: "applied" if takes_effect else "rejected"}
    effects = (*s.effects, command) if takes_effect else s.effects
    return s._replace(results=frozenset(results.items()), effects=effects, wrong=s.wrong or wrong)


def finishing_steps(s: State, i: int, broken: str | None) -> Iterator[tuple[str, State]]:
    w = s.workers[i]
    if w.step == "failed" and s.lock is None:
        yield f"buries {w.suspect}", buried(s, i, broken)
    if w.step == "committed":
        untold = frozenset(entry for entry in w.dropped if outcome(s, command_of(entry)) is None)
        if s.is_broken and broken == "apart" and (w.done or w.dropped):
            suspect = command_of(min(w.done or w.dropped))
            is_again = w.suspect == suspect
            blamed = Worker() if is_again else w._replace(step="failed", suspect=suspect)
            yield "fails in settling" + (" again" if is_again else f", which is blamed on {suspect}"), put(s, i, blamed)
        elif untold and broken == "twin":
            yield f"fails, as {min(untold)} has no outcome", put(s, i, Worker())
        else:
            told = w._replace(step="told", waits=w.waits | untold, done=w.done | (w.dropped - untold))
            if broken == "put":
                yield "publishes, and lets go of all", put(s, i, told, pending=s.pending - told.waits - told.done)
            else:
                yield "publishes, and sets aside what has to wait", put(s, i, told, aside=s.aside | told.waits)
    if w.step == "told":
        aside = (s.aside | w.waits if broken == "put" else s.aside) - w.done
        yield "is done", put(s, i, Worker(), aside=aside, pending=s.pending - w.waits - w.done)


def buried(s: State, i: int, broken: str | None) -> State:
    """A transaction of its own: failed, if it can be claimed."""
    w, results = s.workers[i], dict(s.results)
    mine = entries_of(w.streamed | w.aside, {w.suspect})
    after = Worker("committed", w.streamed, w.aside, dropped=mine, suspect=w.suspect)
    if outcome(s, w.suspect) and broken != "claimed":
        return put(s, i, after)
    results[w.suspect] = "failed"
    return put(s, i, after, results=frozenset(results.items()), letters=s.letters | {w.suspect})


def environment(s: State) -> Iterator[tuple[str, State]]:
    if s.coming:
        command, *later = s.coming
        change = {"coming": tuple(later), "accepted": (*s.accepted, command), "unread": s.unread | {command}}
        yield f"{command} is accepted", s._replace(**change)
    if not s.is_there:
        yield "the user registers", s._replace(is_there=True)
    if "settling" in s.faults:
        yield "settling fails from now on", s._replace(is_broken=True, faults=s.faults - {"settling"})
    yield from requeuing(s)
    if "death" in s.faults:
        for i, worker in enumerate(s.workers):
            if worker.step != "idle":
                lock = None if s.lock == i else s.lock
                yield f"worker {i} dies", put(s, i, Worker(), lock=lock, faults=s.faults - {"death"})


def requeuing(s: State) -> Iterator[tuple[str, State]]:
    for letter in s.letters if "requeue" in s.faults else ():
        results = frozenset(one for one in s.results if one[0] != letter)
        change = {"results": results, "letters": s.letters - {letter}, "unread": s.unread | {letter + AGAIN}}
        yield f"an operator requeues {letter}", s._replace(**change, faults=s.faults - {"requeue"})


def steps(s: State, broken: str | None) -> Iterator[tuple[str, State]]:
    for i in range(2):
        for of_a_worker in (reading_steps, committing_steps, finishing_steps):
            yield from ((f"worker {i} {what}", t) for what, t in of_a_worker(s, i, broken))
    yield from environment(s)


def fault_in(s: State, broken: str | None) -> str:
    """What is wrong with a state; "" when nothing is."""
    if s.wrong:
        return s.wrong
    applied = dict(s.results)
    if len(set(s.effects)) < len(s.effects) or {CREATE, TWIN} <= set(s.effects):
        return "a command took effect twice"
    if any(applied.get(command) != "applied" for command in s.effects):
        return "a command that took effect is not told as applied"
    waiting = {command_of(entry) for entry in s.unread | s.pending | s.aside}
    for command in s.accepted:
        if outcome(s, command) is None and not {command, SAME_KEY.get(command)} & waiting:
            return f"{command} is lost"
    if all(worker.step == "idle" for worker in s.workers) and not ends(s, broken):
        return "the partition stands still"
    return ""


def ends(s: State, broken: str | None) -> bool:
    """Whether one worker, undisturbed, brings everything that waits to an outcome."""
    for _ in range(ENOUGH):
        if not (s.unread or s.pending or s.aside):
            break
        (_, s) = next(reading_steps(s, 0, broken))
        while s.workers[0].step != "idle":
            enabled = [*reading_steps(s, 0, broken), *committing_steps(s._replace(faults=NONE), 0, broken)]
            # Of several the last one: everything is due, and nobody waits any longer.
            (_, s) = [*enabled, *finishing_steps(s, 0, broken)][-1]
    return not (s.unread or s.pending or s.aside)


def explore(broken: str | None = None) -> tuple[int, str, list[str]]:
    """Breadth first; the number of states, and the first fault with the shortest trace to it, or nothing."""
    came_from: dict[State, tuple[str, State] | None] = dict.fromkeys(STARTS)
    queue = deque(STARTS)
    while queue:
        s = queue.popleft()
        fault = fault_in(s, broken)
        if fault:
            return len(came_from), fault, trace_to(s, came_from)
        for what, t in steps(s, broken):
            if mirrored(t) not in came_from and t not in came_from:
                came_from[t] = (what, s)
                queue.append(t)
    return len(came_from), "", []


def mirrored(s: State) -> State:
    """The same with the workers changed over, from which the same follows."""
    return s._replace(workers=s.workers[::-1], lock=None if s.lock is None else 1 - s.lock)


def trace_to(s: State, came_from: dict) -> list[str]:
    trace = []
    while came_from[s]:
        what, s = came_from[s]
        trace.append(what)
    return trace[::-1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    rules = "\n".join(f"{name}: {rule}" for name, rule in RULES.items())
    parser.add_argument("--break", dest="broken", choices=RULES, metavar="RULE", help=rules)
    states, fault, trace = explore(parser.parse_args().broken)
    sys.stdout.write(f"{states} states explored: {fault or 'no fault'}\n")
    sys.stdout.writelines(f"  {what}\n" for what in trace)
    raise SystemExit(bool(fault))
