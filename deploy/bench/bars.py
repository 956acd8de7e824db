"""The bars that this project has set itself, and whether one run of the benchmark met them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from deploy.bench import orders, writes
from deploy.bench.reads import Row

LISTS = ("comments", "user timeline")


@dataclass(frozen=True)
class Bar:
    """wanted: the least that counts as met; where less is better, the most."""

    what: str
    wanted: float
    measured: float
    less_is_better: bool = False

    @property
    def met(self) -> bool:
        return self.measured <= self.wanted if self.less_is_better else self.measured >= self.wanted


def of_reads(rows: Iterable[Row]) -> list[Bar]:
    """Those that the measured rows can decide; ratios at 32 connections."""
    found = {(row.scenario, row.subject): row for row in rows if row.connections == 32}
    return [*_rates(found), *_latencies(found)] if found else []


def _rates(found: dict) -> Iterator[Bar]:
    rate: Callable = lambda row: row.rate  # noqa: E731 said once, used in each line below
    yield _ratio(found, "rate", "hot post", "gateway", "naive", 30, rate)
    yield _ratio(found, "rate", "zipf posts", "socialapp", "naive", 3, rate)
    yield _ratio(found, "rate", "zipf posts", "socialapp", "cacheops", 2.5, rate)
    for scenario in LISTS:
        yield _ratio(found, "rate", scenario, "socialapp", "naive", 10, rate)
        yield _ratio(found, "rate", scenario, "socialapp", "cacheops", 3, rate)


def _ratio(found: dict, name: str, scenario: str, ours: str, peer: str, wanted: float, of: Callable) -> Bar:
    measured = of(found[scenario, ours]) / of(found[scenario, peer])
    return Bar(f"{scenario}: {name} of {ours} / {peer}", wanted, measured)


def _latencies(found: dict) -> Iterator[Bar]:
    for scenario in dict.fromkeys(scenario for scenario, _ in found):
        naive = found[scenario, "naive"]
        pool = found[scenario, "socialapp"]
        yield Bar(f"{scenario}: p50 of naive / p99 of socialapp", 1, naive.p50 / pool.p99)
        for subject, wanted in (("gateway", 0.8), ("socialapp", 0.6)):
            row = found[scenario, subject]
            yield Bar(f"{scenario}: mean latency saved by {subject}", wanted, 1 - row.mean / naive.mean)
            yield Bar(f"{scenario}: CPU saved by {subject}", wanted, 1 - row.cpu_ms / naive.cpu_ms)


def of_writes(rows: Iterable[writes.Row]) -> list[Bar]:
    found = {(row.scenario, row.subject): row for row in rows}
    rate: Callable = lambda row: row.rate  # noqa: E731 said once, used in each line below
    bars = []
    for scenario, wanted in ((writes.HOT, 8), (writes.SPREAD, 5)):
        bars.append(_ratio(found, "applied per s", scenario, "socialapp", "naive", wanted, rate))
        bars.append(_ratio(found, "applied per s", scenario, "socialapp", "celery", 10, rate))
    bars.append(_ratio(found, "accepted per s", writes.POSTS, "socialapp", "naive", 2, rate))
    low, high = found[writes.LOW, "socialapp"], found[writes.HIGH, "socialapp"]
    return [
        *bars,
        Bar(f"{writes.POSTS}: backlog at the end, s", 1, found[writes.POSTS, "socialapp"].backlog, True),
        Bar(f"{low.scenario}: p50, ms", 50, low.p50, True),
        Bar(f"{low.scenario}: p99, ms", 250, low.p99, True),
        Bar(f"{high.scenario}: p99, ms", 2000, high.p99, True),
    ]


def of_orders(rows: Iterable[writes.Row]) -> list[Bar]:
    found = {(row.scenario, row.subject): row for row in rows}
    rate: Callable = lambda row: row.rate  # noqa: E731 as above
    return [
        _ratio(found, "per s", orders.PLACED, "socialapp", orders.BARE, 0.8, rate),
        _ratio(found, "per s", orders.LISTS, "socialapp", "naive", 4, rate),
    ]


def table(bars: list[Bar]) -> str:
    lines = [f"{'bar':58}{'wanted':>8}{'measured':>10}"]
    lines += [f"{bar.what:58}{bar.wanted:>8.2f}{bar.measured:>10.2f}  {'' if bar.met else 'MISSED'}" for bar in bars]
    return "\n".join(line.rstrip() for line in lines)
