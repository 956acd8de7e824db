"""An executed command whose invalidation was lost, and its client, which repeats the request under the same key.

The list is cached; the command commits; then the process dies or the cache does not answer. The repeat tries to
invalidate once more, which may fail as well. The durable consumer does it in the end. A token that awaits a command
makes its reads pass the cache by until the command is confirmed.

Invariant: a read that is called `strong` shows the write that its token stands for.
"""

from collections import namedtuple
from collections.abc import Iterator

from socialapp.tests.proof.models.search import Model, Step

RULES = {
    "await": "an answer whose invalidation did not succeed gives a token that awaits the command",
    "pass by": "a token that awaits a command makes its read skip the cache",
    "confirm last": "the consumer confirms a command after it has invalidated",
}
OLD, NEW = "old", "new"

# entry: the cached body.  invalidated: whether an invalidation came after the commit.  confirmed: as its outcome says.
# token: None before an answer, else whether it awaits the command.  shown: what a `strong` read has shown.
State = namedtuple("State", "command entry invalidated consumer confirmed token shown")


def model() -> Model:
    return Model(RULES, State("start", OLD, False, "start", False, None, ""), steps, violation)


def violation(s: State) -> str:
    return "a strong read lacks the write" if s.shown == OLD else ""


def steps(s: State, broken: str | None) -> Iterator[Step]:
    yield from command_steps(s, broken)
    yield from consumer_steps(s, broken)
    yield from cache_steps(s)
    yield from read_steps(s, broken)


def dropped(s: State, **change) -> State:
    return s._replace(entry=None, invalidated=True, **change)


def command_steps(s: State, broken: str | None) -> Iterator[Step]:
    awaits = broken != "await"
    if s.command == "start":
        yield "the command commits", s._replace(command="committed")
    elif s.command == "committed":
        yield "it is invalidated and answered", dropped(s, command="end", token=False)
        yield "its invalidation fails; it is answered", s._replace(command="end", token=awaits)
        yield "its process dies", s._replace(command="lost")
    elif s.command == "lost":
        yield "the repeat invalidates and is answered", dropped(s, command="end", token=False)
        yield "the repeat cannot invalidate; it is answered", s._replace(command="end", token=awaits)


def consumer_steps(s: State, broken: str | None) -> Iterator[Step]:
    if s.command == "start" or s.consumer == "end":
        return
    confirms_first = broken == "confirm last"
    if s.consumer == "start":
        first = s._replace(confirmed=True) if confirms_first else dropped(s)
        yield f"the consumer {'confirms' if confirms_first else 'invalidates'}", first._replace(consumer="half")
    else:
        second = dropped(s) if confirms_first else s._replace(confirmed=True)
        yield f"the consumer {'invalidates' if confirms_first else 'confirms'}", second._replace(consumer="end")


def cache_steps(s: State) -> Iterator[Step]:
    if s.entry is None:
        # Past an invalidation nobody fills what lacks the write (the model `cache`).
        yield "somebody fills the entry", s._replace(entry=NEW)
        if not s.invalidated:
            yield "somebody fills the entry from a lagging replica", s._replace(entry=OLD)
    else:
        yield "the entry is evicted", s._replace(entry=None)


def read_steps(s: State, broken: str | None) -> Iterator[Step]:
    if s.token is None:
        return
    if s.token and s.confirmed:
        yield "the client reads: its command is confirmed", s._replace(token=False)
    elif s.token and broken != "pass by":
        yield "the client reads past the cache", s._replace(shown=NEW)
    elif s.entry:
        yield "the client reads the entry", s._replace(shown=s.entry)
