"""Numbers of payments for /metrics, from the write pool: what is under way, and what waits for too long."""

from collections.abc import Iterable
from contextlib import suppress

from django.db.models import Count, Q
from django.db.models.functions import Now
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orders.handlers.attempts import LIVE
from orders.models import PaymentAttempt
from socialapp.cqrs import roles
from socialapp.cqrs.routing import DOWN, PRIMARY
from socialapp.ops import metrics


class Payments(Collector):
    """Only of attempts whose outcome is not known: these are few, and the index of them is counted."""

    def collect(self) -> Iterable[Metric]:
        if not roles.may_write():
            return
        attempts = GaugeMetricFamily("socialapp_payment_attempts", "Without an outcome.", labels=["state"])
        due = GaugeMetricFamily("socialapp_payment_attempts_due", "Those to ask the gateway for now.")
        # That the primary cannot be asked is told by socialapp_primary_up.
        with suppress(*DOWN):
            found = live()
            for state in LIVE:
                attempts.add_metric([state.value], found.get(state, (0, 0))[0])
            due.add_metric([], sum(overdue for _, overdue in found.values()))
        yield from (attempts, due)


def live() -> dict[str, tuple[int, int]]:
    """By state: how many, and how many of them are due."""
    rows = PaymentAttempt.objects.using(PRIMARY).filter(state__in=LIVE).values_list("state")
    counted = rows.annotate(number=Count("pk"), due=Count("pk", filter=Q(ask_at__lte=Now()))).order_by()
    return {state: (number, due) for state, number, due in counted}


metrics.registry.register(Payments())
