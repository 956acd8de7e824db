"""Code that runs in a process of its own, on this test's servers, and dies there by SIGKILL where a test says."""

import signal
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
START = "import django; django.setup()\n"
DIE = "import os, signal\ndef die(*args, **kwargs): os.kill(os.getpid(), signal.SIGKILL)\n"


def run(code: str, *, before: str = "") -> None:
    """Run `code` to its end; `before` runs ahead of Django and of everything that the project imports."""
    process = _start(before + "\n" + START + code)
    assert process.returncode == 0, process.stderr


def kill_at(place: str, code: str) -> None:
    """Run `code` until it calls `place`, a function by its full name, and die instead of calling it."""
    module, _, name = place.rpartition(".")
    process = _start(f"{START}{DIE}import {module}\n{module}.{name} = die\n{code}")
    assert process.returncode == -signal.SIGKILL, process.stderr


def _start(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
