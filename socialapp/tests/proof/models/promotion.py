"""The read cache across a promotion: a replica was ahead of the promoted one, and readers find out at different times.

One write commits on the old primary, another on the promoted server. The promoted server has only a prefix of the old
history; another replica of the old primary may have more, and the old primary itself may still answer. A reader
believes in the timeline that it saw last, which may be long ago. Beat raises all floors to the new timeline and then
drops all entries.

Invariants: once that is done, no entry holds a write that was lost; and no entry lacks a write of the surviving history
whose `invalidate` has returned.
"""

from collections import namedtuple
from collections.abc import Iterator

from socialapp.tests.proof.models.search import Model, Step, replaced

RULES = {
    "history": "a fill from an older timeline than the floor's is refused",
    "pair": "floors are raised as pairs of timeline and position",
    "raised first": "after a promotion the floors are raised before the entries are dropped",
    "floors stay": "a promotion drops entries, and no floors",
}
OLD, NEW = 1, 2
TRAFFIC, BEAT = "traffic", "beat"

# old, new: records of either timeline, of which a write is a number; positions on the new one go on from `kept`, the
# number of old records that the promoted server has (None before the promotion).  ahead: position of the old primary's
# replica.  follows: records of `new` that the promoted server's replica has.  emptied: how far beat has come.
State = namedtuple("State", "limit old new kept ahead follows told emptied entry floor lease writers readers done")
# place: where its commit is, (timeline, position).
Writer = namedtuple("Writer", "step place")
# view: the timeline that it believes in.  after: the place after its read.
Reader = namedtuple("Reader", "step view needs source body after")


def model(*, readers: int = 2, limit: int = 2) -> Model:
    """limit: records of the old timeline, and of the new one besides the heartbeat."""
    several = (Writer("start", None),) * 2, (Reader("start", OLD, None, "", frozenset(), None),) * readers
    start = State(limit, (), (), None, 0, 0, OLD, (), None, (OLD, 0), None, *several, frozenset())
    return Model(RULES, start, steps, violation)


def violation(s: State) -> str:
    if s.entry is None:
        return ""
    kept = s.old if s.kept is None else s.old[: s.kept]
    if len(s.emptied) == 2 - ("flush" in s.emptied) and s.entry & writes(s.old[len(kept) :]):
        return "an entry holds a lost write"
    return "stale entry" if not (s.done & writes(kept + s.new)) <= s.entry else ""


def writes(records: tuple) -> frozenset:
    return frozenset(records) - {TRAFFIC, BEAT}


def steps(s: State, broken: str | None) -> Iterator[Step]:
    for i in range(len(s.writers)):
        yield from ((f"writer {i} {what}", t) for what, t in writer_steps(s, i, broken))
    for i in range(len(s.readers)):
        yield from ((f"reader {i} {what}", t) for what, t in reader_steps(s, i, broken))
    yield from server_steps(s)
    yield from beat_steps(s, broken)
    if s.entry is not None:
        yield "the entry is evicted", s._replace(entry=None)


def server_steps(s: State) -> Iterator[Step]:
    if s.ahead < len(s.old):
        yield "the replica of the old primary replays one record", s._replace(ahead=s.ahead + 1)
    if s.follows < len(s.new):
        yield "the replica of the promoted server replays one record", s._replace(follows=s.follows + 1)
    if len(s.old) < s.limit:
        yield "other traffic extends the old timeline", s._replace(old=(*s.old, TRAFFIC))
    if s.kept is None:
        for kept in range(len(s.old) + 1):
            yield f"a replica with {kept} of {len(s.old)} records is promoted", s._replace(kept=kept)
    elif len(s.new) <= s.limit:
        yield "other traffic extends the new timeline", s._replace(new=(*s.new, TRAFFIC))


def beat_steps(s: State, broken: str | None) -> Iterator[Step]:
    """emptied: the steps that beat has taken, in their order."""
    if s.kept is not None and s.told == OLD:
        yield "beat writes the first heartbeat", s._replace(new=(*s.new, BEAT), told=NEW)
    if s.told == OLD:
        return
    if broken == "floors stay":
        order = ("flush",)
    else:
        order = ("drop", "raise") if broken == "raised first" else ("raise", "drop")
    if len(s.emptied) < len(order):
        step = order[len(s.emptied)]
        yield f"beat takes the step: {step}", s._replace(**changed_by(s, step), emptied=(*s.emptied, step))


def changed_by(s: State, step: str) -> dict:
    if step == "raise":
        return {"floor": max(s.floor, (NEW, s.kept + len(s.new)))}
    return {"entry": None} if step == "drop" else {"entry": None, "lease": None, "floor": None}


def writer_steps(s: State, i: int, broken: str | None) -> Iterator[Step]:
    """Writer 0 writes on the old timeline, writer 1 on the new one."""
    w = s.writers[i]

    def go(step, place=w.place, **change):
        return s._replace(writers=replaced(s.writers, i, Writer(step, place)), **change)

    if w.step == "start" and i == 0 and len(s.old) < s.limit:
        yield "commits on the old primary", go("committed", (OLD, len(s.old) + 1), old=(*s.old, i))
    elif w.step == "start" and i == 1 and s.kept is not None and len(s.new) <= s.limit:
        yield "commits on the promoted server", go("committed", (NEW, s.kept + len(s.new) + 1), new=(*s.new, i))
    elif w.step == "committed":
        floor = max(s.floor, w.place) if s.floor else (NEW, s.kept + len(s.new))
        if broken == "pair" and s.floor and s.floor[1] >= w.place[1]:
            floor = s.floor
        yield "invalidates", go("end", entry=None, lease=None, floor=floor, done=s.done | {i})


def reader_steps(s: State, i: int, broken: str | None) -> Iterator[Step]:
    r = s.readers[i]

    def go(step, view=r.view, needs=r.needs, source=r.source, body=r.body, after=r.after, **change):
        return s._replace(readers=replaced(s.readers, i, Reader(step, view, needs, source, body, after)), **change)

    if r.step == "start":
        yield "looks at the heartbeat", go("looked", view=s.told)
    elif r.step == "looked" and s.entry is None and s.lease is None:
        yield "misses and gets the lease", go("leased", needs=s.floor, lease=i)
    elif r.step == "leased":
        found = sources(s, r.view, only_primary=r.needs is None).items()
        suiting = [source for source, (place, _) in found if r.needs is None or place >= r.needs]
        yield from ((f"chooses {source}", go("chosen", source=source)) for source in suiting)
    elif r.step == "chosen":
        yield "reads it", go("read", body=sources(s, r.view)[r.source][1])
    elif r.step == "read":
        yield "takes its place again", go("fill", after=sources(s, r.view)[r.source][0])
    elif r.step == "fill":
        yield fill(s, i, broken, go)


def fill(s: State, i: int, broken: str | None, go) -> Step:
    r = s.readers[i]
    if s.lease != i:
        return "is refused the fill", go("end")
    if s.floor is not None and r.after[0] < s.floor[0] and broken != "history":
        return "is refused the fill", go("end", lease=None)
    return "fills", go("end", entry=r.body, lease=None, floor=max(s.floor or r.after, r.after))


def sources(s: State, view: int, *, only_primary: bool = False) -> dict[str, tuple]:
    """{server: (its place, the writes that it shows)}, of those that a reader with this view may choose."""
    if view == OLD:
        found = {"the old primary": ((OLD, len(s.old)), writes(s.old))}
        replica, place, shown = "the replica of the old primary", (OLD, s.ahead), s.old[: s.ahead]
    else:
        survived, follows = s.old[: s.kept], s.new[: s.follows]
        found = {"the promoted server": ((NEW, s.kept + len(s.new)), writes(survived + s.new))}
        replica, place, shown = "its replica", (NEW, s.kept + s.follows), survived + follows
        if BEAT not in follows:
            # It shows a heartbeat of the older timeline.
            return found
    return found if only_primary else found | {replica: (place, writes(shown))}
