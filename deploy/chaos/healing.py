"""SIGKILL to each program and to a child of each; how long until all is well again?

Well means: supervised programs run and answer, and `GET /health/ready` through the gateway says ready.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from deploy.embedded.stack import Stack

PROMISE = 10.0
# Seconds after which a program counts as not coming back.
PATIENCE = 120.0


@dataclass(frozen=True)
class Healed:
    killed: str
    seconds: float


def run(stack: Stack) -> list[Healed]:
    programs = [program.name for program in stack.cast.programs()]
    healed = [show(program, heal(stack, program)) for program in [*programs, "supervisord"]]
    parents = [program for program in programs if children(stack, program)]
    healed += [show(f"child of {program}", heal_child(stack, program)) for program in parents]
    print(f"{'slowest':26} {max(one.seconds for one in healed):6.2f} s  (promised: {PROMISE:.0f} s)")
    return healed


def promise_kept(healed: list[Healed]) -> bool:
    return max(one.seconds for one in healed) <= PROMISE


def heal(stack: Stack, program: str) -> float:
    """Seconds from the kill until everything is well."""
    killed = stack.pid(program)
    started = time.monotonic()
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: stack.pid(program) not in (None, killed) and is_well(stack), program)
    return time.monotonic() - started


def heal_child(stack: Stack, program: str) -> float:
    """The same for a worker process, which its own master has to replace."""
    before = children(stack, program)
    started = time.monotonic()
    before[0].kill()
    wait_until(lambda: len(children(stack, program)) >= len(before) and is_well(stack), f"a child of {program}")
    return time.monotonic() - started


def children(stack: Stack, program: str) -> list[psutil.Process]:
    """Living ones; Postgres' connections come and go, so of it only the first, which always work."""
    found = psutil.Process(stack.pid(program)).children() if stack.pid(program) else []
    alive = [child for child in found if child.status() != psutil.STATUS_ZOMBIE]
    return alive[:3] if program.startswith("postgres") else alive


def is_well(stack: Stack) -> bool:
    return not stack.complaints() and not stack.doctor.readiness()[0]


def wait_until(well: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not well():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come back in {PATIENCE:.0f} s")
        time.sleep(0.05)


def show(killed: str, seconds: float) -> Healed:
    print(f"{killed:26} {seconds:6.2f} s", flush=True)
    return Healed(killed, round(seconds, 2))
