"""How much of a bare Django view's rate does a read hit reach? `python -m deploy.bench.read_hit`

Both are served by one gunicorn server with equal settings, for each worker class in turn, and loaded by wrk,
in rounds that alternate, so that a noisy machine disturbs both alike.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from deploy.embedded.ground import free_port
from deploy.embedded.stack import Stack
from deploy.embedded.wipe import delete_everything

CHECKOUT = Path(__file__).resolve().parents[2]
WORKERS = ("sync", "gthread", "gevent")
SUBJECTS = {"bare": "deploy.bench.bare", "socialapp": "config.wsgi"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5, help="per measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--worker-class", choices=WORKERS, nargs="*", default=WORKERS)
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is needed: apt-get install wrk")
    with running_stack() as stack:
        path = f"/api/v1/posts/{hot_post(stack)}"
        print(f"{'workers':8} {'bare/s':>8} {'socialapp/s':>12} {'ratio':>6}")
        for worker_class in options.worker_class:
            bare, ours = compare(stack, path, worker_class, options)
            print(f"{worker_class:8} {bare:8.0f} {ours:12.0f} {ours / bare:6.2f}", flush=True)


@contextmanager
def running_stack():
    var = Path(tempfile.mkdtemp(prefix="socialapp-bench-"))
    var.chmod(0o711)
    stack = Stack(var=var, port=0, checkout=CHECKOUT)
    try:
        stack.start(seed=True)
        yield stack
    finally:
        delete_everything(stack)


def hot_post(stack: Stack) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/api/v1/timelines/public?limit=1", timeout=10) as answer:
        return re.search(rb'"id":"([0-9a-f-]{36})","text"', answer.read())[1].decode()


def compare(stack: Stack, path: str, worker_class: str, options) -> tuple[float, float]:
    """Median rates of (bare, socialapp)."""
    rates = {name: [] for name in SUBJECTS}
    with server(stack, "bare", worker_class) as bare, server(stack, "socialapp", worker_class) as ours:
        ports = {"bare": bare, "socialapp": ours}
        for _ in range(options.rounds):
            for name, port in ports.items():
                rates[name].append(wrk(f"http://127.0.0.1:{port}{path}", options))
    return median(rates["bare"]), median(rates["socialapp"])


@contextmanager
def server(stack: Stack, subject: str, worker_class: str):
    """One gunicorn server of the read pool's settings, on a port of its own."""
    port = free_port()
    environment = os.environ | stack.environment("read") | {"GUNICORN_WORKER_CLASS": worker_class}
    command = [sys.executable, "-m", "gunicorn", "-c", "config/gunicorn/read.py", "-b", f"127.0.0.1:{port}"]
    process = subprocess.Popen([*command, SUBJECTS[subject]], cwd=CHECKOUT, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_until_open(port)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_until_open(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"no server came up on port {port}")


def wrk(url: str, options) -> float:
    """Requests per second; stops when any answer is an error."""
    command = ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}s", url]
    report = subprocess.run(command, capture_output=True, text=True, timeout=60 + options.seconds).stdout
    if "Non-2xx" in report or "Socket errors" in report:
        raise SystemExit(report)
    return float(re.search(r"Requests/sec:\s+([\d.]+)", report)[1])


if __name__ == "__main__":
    main()
