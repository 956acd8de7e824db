"""Servers under test: one gunicorn of a pool's settings each, on a port of its own, and a stack below them."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.embedded.ground import free_port
from deploy.embedded.stack import Stack
from deploy.embedded.wipe import delete_everything

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    url: str
    pid: int


@contextmanager
def running_stack() -> Iterator[Stack]:
    """A stack of its own, deleted afterwards."""
    var = Path(tempfile.mkdtemp(prefix="socialapp-bench-"))
    # Postgres may run as another user, who has to pass through.
    var.chmod(0o711)
    stack = Stack(var=var, port=0, checkout=CHECKOUT)
    try:
        stack.start()
        yield stack
    finally:
        delete_everything(stack)


@contextmanager
def gunicorn(
    stack: Stack, application: str, *, workers: int, pool: str = "read", **environment: str
) -> Iterator[Server]:
    """pool: read or write; its settings and its role."""
    port = free_port()
    environment = os.environ | stack.environment(pool) | {"GUNICORN_WORKERS": str(workers)} | environment
    command = [sys.executable, "-m", "gunicorn", "-c", f"config/gunicorn/{pool}.py", "-b", f"127.0.0.1:{port}"]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([*command, application], cwd=CHECKOUT, env=environment, stderr=errors)
        try:
            wait_until_open(process, port, errors)
            yield Server(f"http://127.0.0.1:{port}", process.pid)
        finally:
            process.terminate()
            process.wait(timeout=20)


def wait_until_open(process: subprocess.Popen, port: int, errors) -> None:
    """Any answer will do; a peer knows no /health."""
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    errors.seek(0)
    raise SystemExit(f"{application_error(errors.read())}\nno server came up on port {port}")


def application_error(log: bytes) -> str:
    return "\n".join(log.decode(errors="replace").splitlines()[-8:])


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of these processes and all their children, so far; also of children that have ended."""
    total = 0.0
    for pid in pids:
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            try:
                times = member.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + times.children_user + times.children_system
    return total


def require_wrk() -> None:
    if not shutil.which("wrk"):
        raise SystemExit("The load generator wrk is needed; on Debian: apt-get install wrk")
