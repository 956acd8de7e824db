"""A replica that accepts and never answers, and one that is gone: what the read servers make of it, for real."""

import json
import os
import signal
import threading
import time
from contextlib import contextmanager

import psutil
import psycopg
import pytest

from deploy.embedded.environment import database_url
from socialapp.cqrs.deadlines import BoundedConnection, NoAnswer, answered_within
from socialapp.tests.client import Api
from socialapp.tests.topology.conftest import wait_for

# Seconds. REPLICA_TIMEOUT twice (a connection, then an answer), and what a busy machine adds.
LONGEST_READ = 2.5


@contextmanager
def frozen(stack, program: str):
    """Every process of a Postgres server stands still, its replay and the connections that it has included."""
    postmaster = psutil.Process(stack.pid(program))
    processes = [postmaster, *postmaster.children()]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            with_care(process)


def with_care(process: psutil.Process) -> None:
    if process.is_running():
        process.send_signal(signal.SIGCONT)


def ready(reader: Api) -> dict:
    return json.loads(reader.get("/health/ready").body)["dependencies"]


def test_a_connection_gives_up_a_frozen_server(servers):
    """With psycopg's own way of waiting; the read pool's greenlets have another, below."""
    secret = servers.cast.secret
    url = database_url("socialapp_read", secret.read_password, servers.cast.home, "replica")
    with BoundedConnection.connect(url, autocommit=True) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        with answered_within(0.3):
            assert connection.execute("SELECT 1").fetchone() == (1,)
            started = time.monotonic()
            with frozen(servers, "postgres-replica"), pytest.raises(NoAnswer):
                connection.execute("SELECT 1")
        assert 0.2 < time.monotonic() - started < 1.5
        assert connection.closed, "its late answer must not be taken for another statement's"
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def timed(reader: Api, path: str) -> tuple[int, float]:
    started = time.monotonic()
    return reader.get(path).status, time.monotonic() - started


def in_parallel(reader: Api, paths: list[str], each: int) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = []
    threads = [
        threading.Thread(target=lambda path=path: found.extend(timed(reader, path) for _ in range(each)))
        for path in paths
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_a_frozen_replica_holds_no_read_for_long(stack, user):
    """Lists of ever other lengths: each is a miss, and asks a database."""
    user.create_post("frozen")
    reader = Api(stack.socket("read-1"))
    wait_for(lambda: ready(reader)["replica1"]["used"])
    paths = [f"/api/v1/users/{user.username}/posts?limit={limit}" for limit in range(1, 9)]
    with frozen(stack, "postgres-replica"):
        first = in_parallel(reader, paths, 1)
        later = in_parallel(reader, [path.replace("?", "?cursor=&") for path in paths], 3)
        entry = ready(reader)["replica1"]
    assert {status for status, _ in first + later} == {200}
    assert max(seconds for _, seconds in first) < LONGEST_READ, "they found out"
    assert sorted(seconds for _, seconds in later)[-3] < 0.4, "the others did not have to"
    assert entry["used"] is False and entry["why"] == "unreachable" and entry["status"] == "down"
    wait_for(lambda: ready(reader)["replica1"]["used"])


def test_a_killed_replica_fails_no_read_and_comes_back(stack, user):
    user.create_post("killed")
    reader = Api(stack.socket("read-1"), headers=user.headers)
    wait_for(lambda: ready(reader)["replica1"]["used"])
    found = []
    os.kill(stack.pid("postgres-replica"), signal.SIGKILL)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        found.append(timed(reader, "/api/v1/me"))
    assert {status for status, _ in found} == {200}
    assert max(seconds for _, seconds in found) < LONGEST_READ
    wait_for(lambda: ready(reader)["replica1"]["used"])


def test_a_frozen_primary_is_replaced_by_the_replica(stack, user):
    """A cache without its memory would ask the primary; the answer is then a replica's."""
    post = user.create_post("primary frozen")
    reader = Api(stack.socket("read-1"))
    wait_for(lambda: ready(reader)["replica1"]["used"])
    path = f"/api/v1/posts/{post['id']}"
    wait_for(lambda: reader.get(path).status == 200)
    token = user.put(f"{path}/like", prefer="wait=5").token
    with frozen(stack, "postgres-primary"):
        answers = [timed(reader, f"/api/v1/users/{user.username}/posts?limit={limit}") for limit in range(20, 30)]
        answer = reader.get(path, consistency_token=token)
    assert {status for status, _ in answers} == {200}
    assert max(seconds for _, seconds in answers) < LONGEST_READ
    assert answer.status == 200
