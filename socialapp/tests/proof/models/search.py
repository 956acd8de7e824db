"""Breadth-first search through all states of a model, for the shortest trace to one that breaks an invariant."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

State = Hashable
# (what happens, the state afterwards)
Step = tuple[str, State]


@dataclass(frozen=True)
class Model:
    """start: the first state. steps(state, broken): what may happen next, without the rule `broken` if it is named.

    violation(state): what is wrong in a state, or "". rules: {name: what the protocol says}.
    """

    rules: dict[str, str]
    start: State
    steps: Callable[[State, str | None], Iterable[Step]]
    violation: Callable[[State], str]


@dataclass(frozen=True)
class Found:
    """states: how many were looked at. violation: what is wrong at the end of `trace`, or ""."""

    states: int
    violation: str = ""
    trace: list[str] = field(default_factory=list)


def explore(model: Model, broken: str | None = None) -> Found:
    """Look at every state that can be reached, until one breaks an invariant."""
    came_from: dict[State, Step | None] = {model.start: None}
    queue = deque([model.start])
    while queue:
        state = queue.popleft()
        if why := model.violation(state):
            return Found(len(came_from), why, _trace(came_from, state))
        for what, following in model.steps(state, broken):
            if following not in came_from:
                came_from[following] = (what, state)
                queue.append(following)
    return Found(len(came_from))


def _trace(came_from: dict[State, Step | None], state: State) -> list[str]:
    trace = []
    while step := came_from[state]:
        what, state = step
        trace.append(what)
    return trace[::-1]


def replaced(items: tuple, index: int, item: object) -> tuple:
    return items[:index] + (item,) + items[index + 1 :]
