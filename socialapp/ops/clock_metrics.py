"""Collectors for `metrics`: how far clocks differ, and whether the log holds what it held."""

from collections.abc import Iterable
from contextlib import suppress

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from socialapp.cqrs import log_history, partition_clocks, roles, valkey
from socialapp.cqrs.routing import DOWN
from socialapp.ops import clock_differences


class Clocks(Collector):
    """By how much clocks differ from the primary's, ahead or behind; from every pool: each process knows its own."""

    def collect(self) -> Iterable[Metric]:
        differences = GaugeMetricFamily(
            "socialapp_clock_difference_seconds", "From the primary's, either way.", labels=["server"]
        )
        # socialapp_primary_up says that the primary cannot be asked.
        with suppress(*DOWN):
            for name, seconds in clock_differences.all_differences().items():
                differences.add_metric([name], abs(seconds))
        return [differences]


class LogIntegrity(Collector):
    """Clocks of partitions that are ahead, and losses of the log. From the write pool."""

    def collect(self) -> Iterable[Metric]:
        if not roles.may_write():
            return []
        partition = ["partition"]
        ahead = GaugeMetricFamily("socialapp_log_clock_ahead_seconds", "Of its server's clock.", labels=partition)
        described = "1: it has lost commands, and nobody has acknowledged that."
        lost = GaugeMetricFamily("socialapp_log_loss_unacknowledged", described, labels=partition)
        # socialapp_log_up and socialapp_primary_up say who cannot be asked.
        with suppress(*valkey.UNREACHABLE):
            for number, seconds in enumerate(partition_clocks.in_log()):
                ahead.add_metric([f"{number:x}"], seconds)
        with suppress(*DOWN):
            for one in log_history.losses():
                lost.add_metric([f"{one.partition:x}"], 1)
        return [ahead, lost]
