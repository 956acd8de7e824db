"""GET /metrics: numbers for Prometheus, from each pool; the gateway does not let them out.

They are read from where all processes count together, so it does not matter which process of which pool is asked.
"""

from collections.abc import Iterable

from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from socialapp.cqrs import audit, valkey
from socialapp.cqrs.audit import CACHE
from socialapp.ops import auditing
from socialapp.ops.auditing import Counts

PREFIX = "socialapp_cache_audit"
PLACE = ["place"]


def exposition(request: HttpRequest) -> HttpResponse:
    return HttpResponse(
        generate_latest(registry), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"}
    )


class CacheAudit(Collector):
    """What audits have counted, and whether the store of the counts can be asked."""

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("socialapp_state_store_up", "Whether the state store (STATE_URL) answers.")
        try:
            counts = auditing.totals()
        except valkey.UNREACHABLE:
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        return [up, *_alarming(counts), *_apart(counts), *_agreement(counts)]


def _alarming(counts: Counts) -> Iterable[Metric]:
    stale = "Entries that the cache held longer than any write is in flight, and that were not true."
    yield CounterMetricFamily(f"{PREFIX}_violations", stale, value=counts[CACHE, audit.STALE])
    unknown = "Entries that the auditing process could not have made."
    yield CounterMetricFamily(f"{PREFIX}_unknown", unknown, value=counts[CACHE, audit.UNKNOWN])


def _apart(counts: Counts) -> Iterable[Metric]:
    unsettled = CounterMetricFamily(f"{PREFIX}_unsettled", "Entries that kept changing meanwhile.", labels=PLACE)
    unreachable = CounterMetricFamily(f"{PREFIX}_unreachable", "Looks at a replica that did not answer.", labels=PLACE)
    for place in auditing.places(counts):
        unsettled.add_metric([place], counts[place, audit.UNSETTLED])
        if place != CACHE:
            unreachable.add_metric([place], counts[place, audit.UNREACHABLE])
    return [unsettled, unreachable]


def _agreement(counts: Counts) -> Iterable[Metric]:
    graced = [*PLACE, "within"]
    checked = CounterMetricFamily(f"{PREFIX}_checked", "Entries compared with the primary.", labels=PLACE)
    agreed = CounterMetricFamily(f"{PREFIX}_consistent", "Those that agreed, within so many seconds.", labels=graced)
    share = GaugeMetricFamily(f"{PREFIX}_consistent_ratio", "Their share of those compared.", labels=graced)
    for place in auditing.places(counts):
        compared = auditing.compared(counts, place)
        checked.add_metric([place], compared)
        for grace, number in auditing.agreeing(counts, place).items():
            agreed.add_metric([place, f"{grace}"], number)
            if compared:
                share.add_metric([place, f"{grace}"], number / compared)
    return [checked, agreed, share]


registry = CollectorRegistry()
registry.register(CacheAudit())
