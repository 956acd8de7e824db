"""Every state of the models: with all rules the invariants hold, and without any one there is a trace that breaks them.

`--hypothesis-profile=chaos` looks at the models in their full size: minutes, and some GB of memory.
"""

import subprocess
import sys

import pytest
from hypothesis import settings

from socialapp.tests.architecture.test_sizes import CHECKOUT
from socialapp.tests.proof.models import cache, cookies, promotion, replay
from socialapp.tests.proof.models.search import explore

IN_FULL = settings.get_current_profile_name() == "chaos"
# The smallest in which each rule is needed: 170,000 states at most.
SHORT = {
    "two writers": cache.model(readers=1, limit=2),
    "two readers": cache.model(writers=1, limit=2),
    "promotion": promotion.model(readers=1, limit=1),
    "cookies": cookies.model(),
    "replay": replay.model(),
}
FULL = {"cache": cache.model(), "promotion with two readers": promotion.model(readers=2, limit=1)}
NEEDED_BY = {"raise": "two readers"} | dict.fromkeys(["lease", "floor", "order", "memory"], "two writers")
RULES = [
    *((NEEDED_BY[rule], rule) for rule in cache.RULES),
    *(("promotion", rule) for rule in promotion.RULES),
    *(("cookies", rule) for rule in cookies.RULES),
    *(("replay", rule) for rule in replay.RULES),
]


@pytest.mark.parametrize("name", SHORT | FULL if IN_FULL else SHORT)
def test_with_all_rules_the_invariants_hold(name):
    found = explore((SHORT | FULL)[name])
    assert not found.violation, found.trace
    assert found.states > 40


@pytest.mark.parametrize(("name", "rule"), RULES)
def test_without_a_rule_a_trace_breaks_them(name, rule):
    found = explore(SHORT[name], rule)
    assert found.violation and len(found.trace) > 2


def test_the_command_line_prints_the_trace():
    command = [sys.executable, "-m", "socialapp.tests.proof.models", "cookies"]
    options = {"cwd": CHECKOUT, "capture_output": True, "text": True, "timeout": 60}
    whole = subprocess.run(command, **options)
    assert whole.returncode == 0 and "the invariants hold" in whole.stdout
    broken = subprocess.run([*command, "--break", "unique"], **options)
    assert broken.returncode == 1
    assert "the browser lost a write\n  write 0 is sent\n" in broken.stdout
