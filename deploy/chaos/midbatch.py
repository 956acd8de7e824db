"""Hits a worker in the middle of a batch: it is stopped, and goes on unless a transaction of a drain now stands open.

For a worker that is killed afterwards, that is as if it had been killed at once.
"""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import psutil
import psycopg

from deploy.chaos.faults import family, send
from deploy.embedded.stack import Stack

# Seconds that a batch must stand still before it counts as that of the stopped worker; most take a twentieth of it.
STANDSTILL = 0.2
LOOKS = 4
# Seconds after which the worker is hit even so: there may be too little to do.
PATIENCE = 20.0

# Only drains take advisory locks, until their transaction ends.
BATCHES = """
    SELECT backend.pid, backend.xact_start FROM pg_stat_activity AS backend
    WHERE backend.application_name = 'socialapp-worker' AND backend.state = 'idle in transaction'
      AND EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pg_locks.pid = backend.pid)
"""


@dataclass(frozen=True)
class Hit:
    """at: seconds since the epoch. in_batch: whether a worker was in the middle of a batch, None if nobody looked."""

    at: float
    in_batch: bool | None = None


@contextmanager
def killed(stack: Stack, *programs: str) -> Iterator[Hit]:
    """Programs with their children."""
    yield from _killed(stack, [pid for program in programs for pid in family(stack, program)])


@contextmanager
def child_killed(stack: Stack, program: str, number: int) -> Iterator[Hit]:
    """One of the processes that work; their parent lives."""
    yield from _killed(stack, [children(stack, program)[number]])


@contextmanager
def frozen(stack: Stack, program: str) -> Iterator[Hit]:
    yield from _frozen(stack, family(stack, program))


@contextmanager
def child_frozen(stack: Stack, program: str, number: int) -> Iterator[Hit]:
    yield from _frozen(stack, [children(stack, program)[number]])


def children(stack: Stack, program: str) -> list[int]:
    """In the order of their birth."""
    born = sorted(psutil.Process(stack.pid(program)).children(), key=lambda child: child.create_time())
    return [child.pid for child in born]


def _killed(stack: Stack, pids: list[int]) -> Iterator[Hit]:
    hit = stop(stack, pids)
    for pid in pids:
        send(pid, signal.SIGKILL)
    yield hit


def _frozen(stack: Stack, pids: list[int]) -> Iterator[Hit]:
    hit = stop(stack, pids)
    try:
        yield hit
    finally:
        for pid in pids:
            send(pid, signal.SIGCONT)


def stop(stack: Stack, pids: list[int]) -> Hit:
    """SIGSTOP these processes, in the middle of a batch if they have any."""
    deadline = time.monotonic() + PATIENCE
    url = stack.environment("worker")["DATABASE_URL"]
    with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
        while True:
            at = time.time()
            for pid in pids:
                send(pid, signal.SIGSTOP)
            in_batch = stands_still(connection)
            if in_batch or time.monotonic() > deadline:
                return Hit(at, in_batch)
            for pid in pids:
                send(pid, signal.SIGCONT)
            # Not in step with anything.
            time.sleep(random.uniform(0.01, 0.1))


def stands_still(connection: psycopg.Connection) -> bool:
    looks = []
    for _ in range(LOOKS):
        looks.append(set(connection.execute(BATCHES).fetchall()))
        time.sleep(STANDSTILL / LOOKS)
    return any(looks) and all(earlier & later for earlier, later in pairwise(looks))
