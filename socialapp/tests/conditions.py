"""Whether a condition that a test has caused can be seen: its health entry and its metric, as operators see them."""

import json
from dataclasses import replace

from django.test import RequestFactory
from prometheus_client.parser import text_string_to_metric_families

from socialapp.ops import conditions, health, metrics


def visible(name: str, **changes: object) -> bool:
    """Whether the health entry and the metric of the condition both say so now, in the role of this process.

    changes: of the condition's fields, for a test that does not wait until an age passes the real threshold.

    An architecture test finds the calls: every condition needs one.
    """
    condition = replace(conditions.named(name), **changes)
    return is_down(condition.entry) and any(map(condition.holds, values(condition.metric)))


def invisible(name: str, **changes: object) -> bool:
    """Whether neither of the two says so."""
    condition = replace(conditions.named(name), **changes)
    return not is_down(condition.entry) and not any(map(condition.holds, values(condition.metric)))


def is_down(entry: str) -> bool:
    document = json.loads(health.ready(RequestFactory().get("/health/ready")).content)
    return document["dependencies"][entry]["status"] != "up"


def values(metric: str) -> list[float]:
    """One for each combination of labels."""
    text = metrics.exposition(RequestFactory().get("/metrics")).content.decode()
    families = text_string_to_metric_families(text)
    return [sample.value for family in families for sample in family.samples if sample.name == metric]
