"""A collector for `metrics`: how far each replica is behind."""

from collections.abc import Iterable
from math import nan

from django.db import Error
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from socialapp.cqrs import servers


class ReplicaLag(Collector):
    """From each pool: it looks at all replicas that it knows."""

    def collect(self) -> Iterable[Metric]:
        described = "Behind the newest heartbeat seen anywhere. NaN: the replica does not answer."
        lag = GaugeMetricFamily("socialapp_replica_lag_seconds", described, labels=["replica"])
        for alias in servers.replicas():
            lag.add_metric([alias], _seconds(alias))
        return [lag]


def _seconds(alias: str) -> float:
    try:
        return servers.lag(servers.look(alias))
    except Error:
        return nan
