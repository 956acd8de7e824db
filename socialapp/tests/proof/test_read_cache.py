"""The read cache on a real Valkey, primary and replica, in every order that chance and Hypothesis come up with.

`--hypothesis-profile=chaos` takes more steps, and other ones each time.
"""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from socialapp.tests.proof import broken, traces
from socialapp.tests.proof.machine import FewActors, ReadCache
from socialapp.tests.proof.world import StaleEntry, WentBack, happened

VIOLATIONS = (StaleEntry, WentBack)
IN_FULL = settings.get_current_profile_name() == "chaos"

SHORT = settings(
    max_examples=320,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    # The world is made once per test and begins anew for each example by itself.
    suppress_health_check=list(HealthCheck),
)
FULL = settings(SHORT, max_examples=1_500, stateful_step_count=60, derandomize=False, print_blob=True)
# Shrinking is for people; here it only matters that there is something to find.
SEARCH = settings(
    SHORT, max_examples=3_000, stateful_step_count=14, phases=[Phase.generate], report_multiple_bugs=False
)

# Who takes part in each trace, and what happens besides; in which order is left to chance.
CASTS = {
    broken.lease: (["writer", "reader"], ["replica_catches_up"]),
    broken.floor: (["writer", "reader"], ["replica_catches_up"]),
    broken.order: (["writer", "reader"], ["replica_catches_up"]),
    broken.memory: (["writer", "reader"], ["replica_catches_up", "lose_memory"]),
    broken.raising: (["writer", "refiller", "reader"], ["evict"]),
}
# The others of the model take a quarter of a minute each. Chance needs hours for its two variants, the trace none.
QUICKLY_FOUND = [broken.lease, broken.floor, broken.order]


@pytest.fixture
def counted():
    """What happens in this test, by name."""
    happened.clear()
    return happened


def test_no_interleaving_leads_to_a_stale_entry(make_world, counted, report):
    run_state_machine_as_test(lambda: ReadCache(make_world), settings=FULL if IN_FULL else SHORT)
    report(", ".join(f"{count:,} {what}" for what, count in sorted(counted.items())))
    assert counted["steps"] > (50_000 if IN_FULL else 2_000)
    assert min(counted["fills from default"], counted["fills from replica1"], counted["invalidations"]) > 50


@pytest.mark.parametrize("rule", broken.RULES, ids=lambda rule: rule.__name__)
def test_without_a_rule_its_shortest_trace_ends_in_a_stale_entry(rule, make_world, monkeypatch):
    trace = getattr(traces, rule.__name__)
    trace(make_world())
    rule(monkeypatch)
    with pytest.raises(VIOLATIONS):
        trace(make_world())


@pytest.mark.parametrize("rule", CASTS if IN_FULL else QUICKLY_FOUND, ids=lambda rule: rule.__name__)
def test_without_a_rule_chance_finds_a_stale_entry(rule, make_world, monkeypatch, counted, report):
    rule(monkeypatch)
    with pytest.raises(VIOLATIONS):
        run_state_machine_as_test(lambda: FewActors(make_world, *CASTS[rule]), settings=SEARCH)
    report(f"without {rule.__name__}: a stale entry after {counted['steps']:,} steps")
