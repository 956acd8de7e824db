"""A log that accepts connections and never answers: writes go to the inbox; without the primary they are refused."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from socialapp.tests.http.checks import refused
from socialapp.tests.topology.conftest import wait_for


@contextmanager
def frozen(stack, *programs: str) -> Iterator[None]:
    servers = [psutil.Process(stack.pid(program)) for program in programs]
    stopped = [process for server in servers for process in [server, *server.children(recursive=True)]]
    for process in stopped:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in stopped:
            os.kill(process.pid, signal.SIGCONT)


@pytest.fixture
def well(stack):
    """The stack, which the next test finds as this one did."""
    yield stack
    wait_for(lambda: not stack.complaints(), seconds=60)


def test_a_frozen_log_costs_no_failed_write(well, user):
    path = f"/api/v1/posts/{user.create_post('before')['id']}"
    with frozen(well, "valkey-log"):
        started = time.monotonic()
        answers = [user.post("/api/v1/posts", {"text": f"number {n}"}) for n in range(20)]
        seconds = time.monotonic() - started
        assert user.get(path).status == 200
        pending = user.get(answers[-1].headers["Location"])
        assert pending.json()["status"] == "accepted", "the inbox tells, too"
    assert [answer.status for answer in answers] == [202] * 20
    assert seconds < 15, "each process waited for it once, two seconds"
    for answer in answers:
        command = answer.headers["Location"]
        wait_for(lambda command=command: user.get(command).json()["status"] == "applied")


def test_without_log_and_primary_a_write_is_refused_soon(well, user):
    user.create_post("before")
    with frozen(well, "valkey-log", "postgres-primary"):
        started = time.monotonic()
        answer = user.post("/api/v1/posts", {"text": "nowhere"})
        seconds = time.monotonic() - started
    refused(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0
    assert seconds < 10
