"""What can befall a running program, each for as long as a `with` lasts."""

import os
import signal
import time
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from deploy.embedded import supervision
from deploy.embedded.stack import Stack


def kill(stack: Stack, program: str) -> None:
    """SIGKILL to it and to its children at once, as when a machine goes away; supervisord starts it again."""
    for pid in family(stack, program):
        send(pid, signal.SIGKILL)


@contextmanager
def killed(stack: Stack, program: str) -> Iterator[None]:
    kill(stack, program)
    yield


@contextmanager
def main_killed(stack: Stack, program: str) -> Iterator[None]:
    """Only the process that supervisord started; its children are orphans."""
    send(stack.pid(program), signal.SIGKILL)
    yield


@contextmanager
def down(stack: Stack, program: str) -> Iterator[None]:
    """Killed, and not started again before the end."""
    supervisor = supervision.rpc(stack.layout)
    (group,) = [known.group for known in stack.cast.programs() if known.name == program]
    while supervision.states(stack.layout)[program]["statename"] != "STOPPED":
        kill(stack, program)
        # It refuses while the program is between its death and its next life.
        with suppress(xmlrpc.client.Fault):
            supervisor.stopProcess(f"{group}:{program}", False)
        time.sleep(0.02)
    try:
        yield
    finally:
        supervisor.startProcess(f"{group}:{program}", False)


@contextmanager
def frozen(stack: Stack, program: str) -> Iterator[None]:
    """It keeps its connections, takes new ones, and never answers."""
    stopped = family(stack, program)
    for pid in stopped:
        send(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            send(pid, signal.SIGCONT)


def family(stack: Stack, program: str) -> list[int]:
    """The program before its children, so that it makes no new ones; nothing when it does not run."""
    parent = stack.pid(program)
    if parent is None:
        return []
    try:
        children = psutil.Process(parent).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [parent, *(child.pid for child in children)]


def send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
