"""The load generator runs against the whole stack, and every user reads its own writes."""

import os
import re
import subprocess
import sys

from socialapp.tests.architecture.test_sizes import CHECKOUT


def locust(host: str, *, read_share: float = 0.95, user_class: str = "Reader") -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "locust", "-f", "locustfile.py", "--host", host, "--headless", "--only-summary"]
    return subprocess.run(
        [*command, "-u", "2", "-r", "2", "-t", "10s", user_class],
        cwd=CHECKOUT,
        env=os.environ | {"READ_SHARE": str(read_share)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_users_read_their_own_writes(stack_url, user):
    user.create_post("something to read")
    done = locust(stack_url, read_share=0.5)
    assert done.returncode == 0, done.stdout + done.stderr
    assert own_reads(done) > 0


def own_reads(done: subprocess.CompletedProcess) -> int:
    """How many there were, of which none was stale."""
    found = re.search(r"stale reads of own writes: 0 of ([\d,]+)", done.stdout + done.stderr)
    assert found, done.stdout + done.stderr
    return int(found[1].replace(",", ""))


def test_a_share_that_is_none_is_refused():
    done = locust("http://127.0.0.1:9", read_share=1.5)
    assert done.returncode != 0
    assert "READ_SHARE is 1.5" in done.stdout + done.stderr
