"""What has to hold before a stack may start: disk, port, and that VAR is not another checkout's. Called by `stack`."""

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.embedded import files
from deploy.embedded.failure import StackFailure
from deploy.embedded.layout import Layout

LEAST_DISK = 2**30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


FIRST_FREE = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def check_port(port: int, *, is_root: bool = False) -> None:
    """is_root: whether the gateway will run as root."""
    if not 0 < port < 65_536:
        raise StackFailure(f"{port} is not a port: choose one between 1024 and 65535 with make up PORT=...")
    if not is_root and port < first_free_port():
        raise StackFailure(f"Port {port} is for root only: choose another with make up PORT=8080")
    with socket.socket() as probe:
        # As nginx does; otherwise connections that were closed a minute ago would count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise StackFailure(f"Port {port} is for root only: choose another with make up PORT=8080") from None
        except OSError:
            other = port + 1 if port < 65_535 else 8080
            raise StackFailure(f"Port {port} is taken: choose another with make up PORT={other}") from None


def first_free_port() -> int:
    """The lowest port that Linux lets everyone bind; elsewhere binding it tells."""
    try:
        return int(FIRST_FREE.read_text())
    except (OSError, ValueError):
        return 0


def check_disk(layout: Layout) -> None:
    free = shutil.disk_usage(layout.var).free
    if free < LEAST_DISK:
        raise StackFailure(f"Only {free // 2**20} MiB are free at {layout.var}; the stack needs 1 GiB: make room first")


def record(layout: Layout) -> dict:
    """{"port", "checkout"} of the last start, or nothing."""
    try:
        return json.loads(layout.record.read_text())
    except (OSError, ValueError):
        return {}


def check_same_stack(layout: Layout, port: int) -> None:
    """Only called while a stack runs in this VAR."""
    last = record(layout)
    if last.get("checkout", str(layout.checkout)) != str(layout.checkout):
        raise StackFailure(f"{layout.var} holds the running stack of {last['checkout']}: choose another with VAR=...")
    if last.get("port", port) != port:
        raise StackFailure(f"This stack runs on port {last['port']}: make down first, or take VAR=var2 for another")


@contextmanager
def lock(layout: Layout) -> Iterator[None]:
    """One start or stop of a stack at a time: of two, the second finds the work done."""
    layout.var.mkdir(parents=True, exist_ok=True)
    with os.fdopen(files.open_file(layout.var / "lock", os.O_RDWR | os.O_CREAT), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
