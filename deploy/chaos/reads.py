"""Reads under faults: GETs through the gateway and at a read server, before, during and after each fault.

The server has two replicas, the stack's read pool one. No GET may fail.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.bench.servers import gunicorn
from deploy.bench.world import seed, world
from deploy.chaos import faults
from deploy.chaos.healing import is_well, wait_until
from deploy.chaos.load import Readers, Sample
from deploy.embedded.environment import database_url
from deploy.embedded.stack import Stack
from socialapp.tests.topology.clone import Clone

PHASES = ("before", "during", "after")
POSTS = 3_000
# Failures that a report quotes; the others are counted.
QUOTED = 5

Fault = Callable[[], AbstractContextManager]


@dataclass(frozen=True)
class Row:
    """gets: how many were begun in this phase. p50, p99, slowest: milliseconds. stale: how many the gateway answered
    with a copy past its second: it was fetching a new one, or there was none to be had."""

    fault: str
    where: str
    phase: str
    gets: int
    failed: int
    stale: int
    p50: float
    p99: float
    slowest: float
    failures: list[str] = field(default_factory=list)

    @property
    def remarks(self) -> list[str]:
        return self.failures


def run(stack: Stack, *, seconds: float) -> Iterator[Row]:
    """Rows as they are measured. seconds: of each phase; a fault is held as long."""
    seed(stack, users=POSTS // 10, posts=POSTS)
    with second_replica(stack) as clone, gunicorn(stack, "config.wsgi", workers=2, **replicas(stack, clone)) as server:
        at = {"gateway": f"http://127.0.0.1:{stack.port}", "read server": server.url}
        yield from measure(stack, at, mixed_paths(stack), all_faults(stack, clone), seconds)


def measure(
    stack: Stack, at: dict[str, str | Path], paths: list[str], named: dict[str, Fault], seconds: float
) -> Iterator[Row]:
    for name, fault in named.items():
        readers = Readers(at, paths)
        with readers.reading():
            started = time.monotonic()
            time.sleep(seconds)
            began = time.monotonic()
            with fault():
                time.sleep(seconds)
            ended = time.monotonic()
            time.sleep(seconds)
        bounds = dict(zip(PHASES, [(started, began), (began, ended), (ended, time.monotonic())], strict=True))
        for where in at:
            samples = [sample for sample in readers.samples if sample.where == where]
            yield from (summary(name, where, phase, samples, *bounds[phase]) for phase in PHASES)
        wait_until(lambda: is_well(stack), f"the stack after: {name}")


def summary(fault: str, where: str, phase: str, samples: list[Sample], start: float, end: float) -> Row:
    taken = [sample for sample in samples if start <= sample.started < end]
    failures = [sample.failure for sample in taken if sample.failure]
    times = sorted(sample.seconds * 1000 for sample in taken) or [0.0]
    return Row(
        fault,
        where,
        phase,
        gets=len(taken),
        failed=len(failures),
        stale=sum(sample.stale for sample in taken),
        p50=round(times[len(times) // 2], 1),
        p99=round(times[len(times) * 99 // 100], 1),
        slowest=round(times[-1], 1),
        failures=failures[:QUOTED],
    )


def all_faults(stack: Stack, clone: Clone) -> dict[str, Fault]:
    return short_faults(stack) | {
        "all replicas down": lambda: all_replicas_down(stack, clone),
        "a replica frozen": lambda: faults.frozen(stack, "postgres-replica"),
        "cache down": lambda: faults.down(stack, "valkey-cache"),
    }


def short_faults(stack: Stack) -> dict[str, Fault]:
    """Those that a stack with one replica can show: of it, a killed replica is all replicas."""
    return {
        "a replica killed": lambda: faults.killed(stack, "postgres-replica"),
        "cache killed": lambda: faults.killed(stack, "valkey-cache"),
        "cache frozen": lambda: faults.frozen(stack, "valkey-cache"),
        "a read server killed": lambda: faults.killed(stack, "read-1"),
    }


@contextmanager
def all_replicas_down(stack: Stack, clone: Clone) -> Iterator[None]:
    clone.process.kill()
    with faults.down(stack, "postgres-replica"):
        yield
    clone.stop()
    clone.start()


@contextmanager
def second_replica(stack: Stack) -> Iterator[Clone]:
    with ExitStack() as ends:
        clone = Clone(stack, "clone")
        clone.start()
        ends.callback(clone.stop)
        yield clone


def replicas(stack: Stack, clone: Clone) -> dict[str, str]:
    secret, home = stack.cast.secret, stack.cast.home
    urls = [database_url("socialapp_read", secret.read_password, home, node) for node in ("replica", clone.name)]
    return {"REPLICA_URLS": ",".join(urls)}


def mixed_paths(stack: Stack) -> list[str]:
    """Popular posts and lists, and as many pages of so many lengths that hardly one is asked for twice: each is a
    miss, and needs a database."""
    scenarios = world(stack).scenarios
    lists = scenarios["comments"]
    rare = [f"{path}?limit={1 + place % 50}" for place, path in enumerate(lists)]
    popular = [scenarios["zipf posts"], lists, scenarios["user timeline"]]
    return [path for four in zip(*popular, rare, strict=True) for path in four]
