"""State machines: anybody may go on at any time, and anything that can befall the cache may happen in between."""

from collections.abc import Callable, Sequence

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from socialapp.tests.proof.actors import Actor
from socialapp.tests.proof.world import World

# More at the same time make runs longer, and find nothing that these do not.
MOST_ACTORS = 4
WHICH = st.integers(0, MOST_ACTORS - 1)
# The last is more than anybody makes, unless he waits for a row that is locked: he goes on to his end.
CALLS = st.sampled_from([1, 2, 3, 4, 16, 16, 16])
# Methods of World; those that come more than once are drawn more often.
EVENTS = ["replica_catches_up"] * 5 + ["evict"] * 3 + ["evict_lease", "evict_recovery", "lose_memory", "other_traffic"]


class FewActors(RuleBasedStateMachine):
    """A cast that is there from the beginning, and a few events: not much happens, but that in every order.

    cast, events: names of methods of World.

    No rule has a precondition. What Postgres logs for itself every few seconds moves positions, so the same steps may
    take another call, and Hypothesis must be offered the same rules all the same; one that nobody can follow is idle.
    """

    def __init__(self, make_world: Callable[[], World], cast: Sequence[str], events: Sequence[str]):
        super().__init__()
        self.world, self.events, self.slots = make_world(), events, [0]
        for name in cast:
            getattr(self.world, name)()

    def active(self) -> list[Actor]:
        return [actor for actor in self.world.actors if not actor.dead]

    def slot(self, which: int) -> int:
        return self.slots[which % len(self.slots)]

    @rule(which=WHICH, calls=CALLS)
    def somebody_goes_on(self, which, calls):
        if active := self.active():
            self.go_on(active[which % len(active)], calls)

    def go_on(self, actor: Actor, calls: int) -> None:
        for _ in range(calls):
            if not actor.dead:
                actor.go_on()
                self.world.check()

    @rule(which=WHICH, event=st.runner().flatmap(lambda machine: st.sampled_from(machine.events)))
    def something_happens(self, which, event):
        getattr(self.world, event)(self.slot(which))
        self.world.check()

    def teardown(self):
        self.world.end()


def has_room(machine: "ReadCache") -> bool:
    return len(machine.active()) < MOST_ACTORS


class ReadCache(FewActors):
    """Readers, refreshing ones too, and workers come and go: of an entity, or of two pages of one list."""

    def __init__(self, make_world: Callable[[], World]):
        super().__init__(make_world, cast=(), events=EVENTS)

    @initialize(slots=st.sampled_from([[0], [1, 2]]))
    def begin(self, slots):
        self.slots = slots

    @rule(which=WHICH, early=st.booleans(), calls=CALLS)
    def a_reader_comes(self, which, early, calls):
        if has_room(self):
            self.go_on(self.world.reader(self.slot(which), early=early), calls)

    @rule(which=WHICH, writes=st.booleans(), calls=CALLS)
    def a_worker_comes(self, which, writes, calls):
        if has_room(self):
            self.go_on(self.world.writer() if writes else self.world.refiller(self.slot(which)), calls)
