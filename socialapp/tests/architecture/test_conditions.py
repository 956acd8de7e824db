"""Every bad state that operators must see is documented, and caused by a test that looks at what they see."""

import re
from pathlib import Path

import pytest

from socialapp.ops import conditions

CHECKOUT = Path(__file__).resolve().parents[3]
CALL = re.compile(r"""assert visible\(["'](?P<name>[^"']+)["']|wait_until\(lambda: visible\(["'](?P<later>[^"']+)""")


def caused() -> set[str]:
    """The conditions whose visibility some test asserts."""
    tests = [path.read_text() for path in CHECKOUT.rglob("test_*.py") if ".venv" not in path.parts]
    return {match["name"] or match["later"] for text in tests for match in CALL.finditer(text)}


@pytest.mark.parametrize("condition", conditions.CONDITIONS, ids=lambda condition: condition.name)
def test_a_test_causes_each_condition(condition):
    assert condition.name in caused(), f'cause it in a test, then: assert visible("{condition.name}")'


def test_the_manual_has_the_table_of_conditions():
    document = conditions.DOCUMENT.read_text()
    assert document == conditions.with_table(document), "run: .venv/bin/python -m socialapp.ops.conditions"


def test_conditions_have_distinct_names():
    names = [condition.name for condition in conditions.CONDITIONS]
    assert len(names) == len(set(names))
