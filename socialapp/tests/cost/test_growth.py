"""The CPU time of every parser and validator grows as its input does: at 2n at most 2.3 times as at n."""

import pytest
from django.conf import settings
from django.utils.module_loading import import_string

from socialapp.tests.architecture.test_registries import routes
from socialapp.tests.cost import cases
from socialapp.tests.cost.measure import MOST_GROWTH, Case, steepest

GROUPS = {
    "regular expressions": cases.of_expressions,
    "fields": cases.of_fields,
    "bodies": cases.in_bodies,
    "headers": cases.in_headers,
    "others": cases.named,
}


@pytest.mark.parametrize("group", GROUPS)
def test_cpu_time_grows_as_the_input_does(group):
    measured = {str(case): steepest(case) for case in GROUPS[group]()}
    steep = {name: found for name, found in measured.items() if found[0] > MOST_GROWTH}
    assert measured and not steep


def test_a_quadratic_parser_is_found():
    def count_each(text: str) -> int:
        return sum(text.count(sign) for sign in text)

    ratio, _ = steepest(Case("quadratic", lambda n: "a" * n, count_each, 20_000))
    assert ratio > MOST_GROWTH


def test_every_parser_has_cases():
    used = {import_string(path) for path in settings.REST_FRAMEWORK["DEFAULT_PARSER_CLASSES"]}
    for _, pattern in routes():
        used |= set(getattr(getattr(pattern.callback, "cls", None), "parser_classes", ()))
    assert used == cases.parsers()
