"""Code that runs in a process of its own, on this test's servers, and dies there by SIGKILL where a test says."""

import signal
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
START = "import django; django.setup()\n"
# For `before`: a machine whose clock is wrong, as the process sees it.
CLOCK_OFF = """
import time
seconds, nanoseconds = time.time, time.time_ns
time.time = lambda: seconds() + {by}
time.time_ns = lambda: nanoseconds() + int({by} * 1e9)
import datetime, uuid_utils.compat
from django.utils import timezone
uuid7 = uuid_utils.compat.uuid7
uuid_utils.compat.uuid7 = lambda nanoseconds=None: uuid7(nanoseconds=nanoseconds or time.time_ns())
now = timezone.now
timezone.now = lambda: now() + datetime.timedelta(seconds={by})
"""
DIE = "import os, signal\ndef die(*args, **kwargs): os.kill(os.getpid(), signal.SIGKILL)\n"


def run(code: str, *, before: str = "") -> str:
    """What `code` prints until its end; `before` runs ahead of Django and of everything that the project imports."""
    process = _start(before + "\n" + START + code)
    assert process.returncode == 0, process.stderr
    return process.stdout


def kill_at(place: str, code: str) -> None:
    """Run `code` until it calls `place`, a function by its full name, and die instead of calling it."""
    module, _, name = place.rpartition(".")
    process = _start(f"{START}{DIE}import {module}\n{module}.{name} = die\n{code}")
    assert process.returncode == -signal.SIGKILL, process.stderr


def _start(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
