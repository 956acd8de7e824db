"""The read cache on one timeline: every interleaving of writers and readers.

The writers commit to one row on the primary and then call `invalidate`; the readers read through the cache, from a
lagging replica or from the primary. At any moment leases may expire, the entry may be evicted, and once the cache may
lose all that it holds, floors included.

Invariants: once a writer's `invalidate` has returned, no entry lacks that write; and while the cache keeps its floors,
no fill lacks a write that an earlier fill held and the primary already showed. (A replica may show a commit a moment
before the primary does; such a write may still flicker.)
"""

from collections import namedtuple
from collections.abc import Iterator

from socialapp.tests.proof.models.search import Model, Step, replaced

RULES = {
    "lease": "a fill needs the lease granted at the miss; invalidate voids it",
    "floor": "a replica may serve a miss only when it has replayed the floor that invalidate raised",
    "order": "the replica's position is read before its data, never after",
    "memory": "a missing floor means that the cache lost its memory: only the primary may serve, and the first "
    "floor to be set, by a fill or an invalidate, is the primary's position at that time",
    "raise": "a fill raises the floor to the position taken again after its read",
}
NONE = frozenset()

# wal: end of the primary's log, at most `limit`.  shown: writes visible on the primary.  log: (position, writer) of
# each commit record.  replayed: the replica's position.  entry: the writes that the cached body contains.  floor: None
# when the cache has lost it.  done: writers whose invalidate has returned.  filled: writes that some fill has held
# since the cache last lost its memory; lost: whether it did.  regressed: a fill broke the second invariant.
State = namedtuple("State", "limit wal shown log replayed entry floor lease writers readers done filled lost regressed")
Writer = namedtuple("Writer", "step lsn")
# needs: the floor at the miss.  owes: what the second invariant asks of the body.  after: position after the read.
Reader = namedtuple("Reader", "step needs body owes after")


def model(*, writers: int = 2, readers: int = 2, limit: int = 3) -> Model:
    """With two writers and two readers 23.5 million states, some minutes, and some GB of memory."""
    several = (Writer("start", 0),) * writers, (Reader("start", 0, NONE, NONE, 0),) * readers
    start = State(limit, 0, NONE, (), 0, None, 0, None, *several, NONE, NONE, False, False)
    return Model(RULES, start, steps, violation)


def violation(s: State) -> str:
    if s.regressed:
        return "a fill lacks what an earlier one held"
    return "stale entry" if s.entry is not None and not s.done <= s.entry else ""


def steps(s: State, broken: str | None) -> Iterator[Step]:
    for i in range(len(s.writers)):
        yield from ((f"writer {i} {what}", t) for what, t in writer_steps(s, i, broken))
    for i in range(len(s.readers)):
        yield from ((f"reader {i} {what}", t) for what, t in reader_steps(s, i, broken))
    if s.replayed < s.wal:
        yield "the replica replays one record", s._replace(replayed=s.replayed + 1)
    if s.lease is not None:
        yield "the lease expires", s._replace(lease=None)
    if s.entry is not None:
        yield "the entry is evicted", s._replace(entry=None)
    if s.wal < s.limit:
        yield "other traffic extends the log", s._replace(wal=s.wal + 1)
    if not s.lost:
        forgotten = {"entry": None, "lease": None, "floor": None, "filled": NONE}
        yield "the cache loses its memory", s._replace(**forgotten, lost=True)


def writer_steps(s: State, i: int, broken: str | None) -> Iterator[Step]:
    w = s.writers[i]

    def go(step, lsn=w.lsn, **change):
        return s._replace(writers=replaced(s.writers, i, Writer(step, lsn)), **change)

    row_is_locked = any(other.step == "flushed" for other in s.writers)
    if w.step == "start" and not row_is_locked:
        yield "writes its commit record", go("flushed", wal=s.wal + 1, log=s.log + ((s.wal + 1, i),))
    elif w.step == "flushed":
        yield "becomes visible on the primary", go("visible", shown=s.shown | {i})
    elif w.step == "visible":
        yield "takes the commit position", go("positioned", lsn=s.wal)
    elif w.step == "positioned":
        lease = s.lease if broken == "lease" else None
        forgot = s.floor is None and broken != "memory"
        floor = s.wal if forgot else max(s.floor or 0, w.lsn)
        yield "invalidates", go("end", entry=None, lease=lease, floor=floor, done=s.done | {i})


def reader_steps(s: State, i: int, broken: str | None) -> Iterator[Step]:
    r = s.readers[i]

    def go(step, needs=r.needs, body=r.body, owes=r.owes, after=r.after, **change):
        return s._replace(readers=replaced(s.readers, i, Reader(step, needs, body, owes, after)), **change)

    if r.step == "start" and s.entry is None and s.lease is None:
        yield "misses and gets the lease", go("leased", needs=s.floor, lease=i)
    elif r.step == "leased":
        yield from reading(s, r, broken, go)
    elif r.step == "checked":
        yield "reads the replica", go("from replica", body=on_replica(s), owes=s.filled & s.shown)
    elif r.step == "check late" and is_past_floor(s, r):
        yield "finds the replica past the floor", go("from replica")
    elif r.step.startswith("from "):
        source = r.step.removeprefix("from ")
        yield f"takes the {source}'s position again", go("fill", after=s.wal if source == "primary" else s.replayed)
    elif r.step == "fill":
        yield fill(s, i, broken, go)


def reading(s: State, r: Reader, broken: str | None, go) -> Iterator[Step]:
    owed = s.filled & s.shown
    yield "reads the primary", go("from primary", body=s.shown, owes=owed)
    unchecked = broken == "floor" or (broken == "memory" and r.needs is None)
    if broken == "order":
        yield "reads the replica", go("check late", body=on_replica(s), owes=owed)
    elif unchecked or is_past_floor(s, r):
        yield "finds the replica past the floor", go("checked")


def is_past_floor(s: State, r: Reader) -> bool:
    return r.needs is not None and s.replayed >= r.needs


def fill(s: State, i: int, broken: str | None, go) -> Step:
    r = s.readers[i]
    if s.lease != i and broken != "lease":
        return "is refused the fill", go("end")
    floor = s.floor if broken == "raise" else max(s.floor or 0, r.after)
    change = {"entry": r.body, "lease": None, "floor": floor, "filled": s.filled | r.body}
    return "fills", go("end", **change, regressed=not r.owes <= r.body)


def on_replica(s: State) -> frozenset:
    return frozenset(writer for position, writer in s.log if position <= s.replayed)
