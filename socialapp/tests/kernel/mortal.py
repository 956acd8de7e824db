"""A process that drains a partition and kills itself where it is told: `python -m socialapp.tests.kernel.mortal`.

It stands for a worker that is really killed, with its connections, its locks and what it had not yet sent.
"""

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import django

KILLED = -signal.SIGKILL


def run(partition: int, *deaths: str) -> int:
    """Drain `partition` in a process of its own, which dies at each of `deaths`; returns its exit code.

    A death is `before` or `after` and a function's full name, e.g. "before socialapp.cqrs.log.acknowledge".
    """
    command = [sys.executable, "-m", __name__, str(partition), *deaths]
    return subprocess.run(command, timeout=60, check=False).returncode


def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


def _patch(death: str) -> None:
    when, _, path = death.partition(" ")
    module_name, _, name = path.rpartition(".")
    module = importlib.import_module(module_name)
    setattr(module, name, die if when == "before" else _die_after(getattr(module, name)))


def _die_after(function: Callable) -> Callable:
    return lambda *args, **kwargs: die(function(*args, **kwargs))


def _main(partition: str, *deaths: str) -> None:
    django.setup()
    from socialapp.cqrs import apply

    for death in deaths:
        _patch(death)
    apply.drain(int(partition))


if __name__ == "__main__":
    _main(*sys.argv[1:])
