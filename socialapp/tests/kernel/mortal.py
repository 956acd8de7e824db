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

    A death is `before` or `after` and a function's full name, e.g. "before socialapp.cqrs.log.acknowledge", and may
    go on with a word: then only arguments that contain it are deadly.
    """
    command = [sys.executable, "-m", __name__, str(partition), *deaths]
    return subprocess.run(command, timeout=60, check=False).returncode


def patch(death: str) -> None:
    when, path, *word = death.split()
    module_name, _, name = path.rpartition(".")
    module = importlib.import_module(module_name)
    setattr(module, name, _deadly(getattr(module, name), when, "".join(word)))


def _deadly(function: Callable, when: str, word: str) -> Callable:
    def call(*args, **kwargs):
        if word not in repr(args):
            return function(*args, **kwargs)
        if when == "after":
            function(*args, **kwargs)
        return os.kill(os.getpid(), signal.SIGKILL)

    return call


def _main(partition: str, *deaths: str) -> None:
    django.setup()
    from socialapp.cqrs import apply

    for death in deaths:
        patch(death)
    apply.drain(int(partition))


if __name__ == "__main__":
    _main(*sys.argv[1:])
