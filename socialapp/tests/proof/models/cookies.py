"""The consistency tokens of a browser whose requests overlap: two writes and two reads, answered in any order.

A request presents every cookie that the browser has when it is sent. Its answer may set one cookie and delete others,
and it arrives at any later time. A token names the commands that are pending.

Invariant: a write whose answer has arrived is named by a cookie until it is applied, so every later read waits for it.
"""

from collections import namedtuple
from collections.abc import Iterator

from socialapp.tests.proof.models.search import Model, Step, replaced

RULES = {
    "unique": "every answer sets a cookie with a name that was never used before",
    "presented": "an answer deletes only cookies that its own request presented",
    "contained": "the cookie that an answer sets contains what those that it deletes stood for",
}
NONE = frozenset()

# jar: {(name, commands)}.  applied: commands whose effect is visible everywhere.  answered: writes whose answer has
# arrived.
State = namedtuple("State", "jar requests applied answered")
# kind: write or read.  presented: the jar when it was sent.  sets: commands of the new cookie; None when it sets none.
Request = namedtuple("Request", "kind step presented sets")


def model(*, writes: int = 2, reads: int = 2) -> Model:
    kinds = ["write"] * writes + ["read"] * reads
    requests = tuple(Request(kind, "start", NONE, None) for kind in kinds)
    return Model(RULES, State(NONE, requests, NONE, NONE), steps, violation)


def violation(s: State) -> str:
    named = commands(s.jar)
    return "the browser lost a write" if s.answered - s.applied - named else ""


def commands(jar: frozenset) -> frozenset:
    return frozenset().union(*(held for _, held in jar))


def steps(s: State, broken: str | None) -> Iterator[Step]:
    for i, request in enumerate(s.requests):
        name = f"{request.kind} {i}"
        yield from ((f"{name} {what}", t) for what, t in request_steps(s, i, broken))
        if request.kind == "write" and request.step in ("answered", "end") and i not in s.applied:
            yield f"the command of {name} is applied", s._replace(applied=s.applied | {i})


def request_steps(s: State, i: int, broken: str | None) -> Iterator[Step]:
    r = s.requests[i]

    def go(step, presented=r.presented, sets=r.sets, **change):
        return s._replace(requests=replaced(s.requests, i, Request(r.kind, step, presented, sets)), **change)

    known = commands(r.presented)
    if r.step == "start":
        yield "is sent", go("sent", presented=s.jar)
    elif r.step == "sent" and r.kind == "write":
        yield "is accepted", go("answered", sets=frozenset({i}) if broken == "contained" else known | {i})
    elif r.step == "sent":
        left = known - s.applied
        yield "is answered", go("answered", sets=left if left != known else None)
    elif r.step == "answered":
        answered = s.answered | {i} if r.kind == "write" else s.answered
        yield "arrives", go("end", presented=NONE, sets=None, jar=after(s, i, broken), answered=answered)


def after(s: State, i: int, broken: str | None) -> frozenset:
    """The browser's cookies when the answer has arrived. A cookie replaces one of the same name."""
    r = s.requests[i]
    if r.sets is None:
        return s.jar
    name = "the only one" if broken == "unique" else i
    deleted = s.jar if broken == "presented" else r.presented
    kept = frozenset(cookie for cookie in s.jar - deleted if cookie[0] != name)
    return kept | {(name, r.sets)} if r.sets else kept
