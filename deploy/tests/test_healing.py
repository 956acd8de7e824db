"""kill -9 of any one process, and everything is back within ten seconds (of an otherwise idle machine)."""

import os
import signal
import time
from pathlib import Path

import psycopg
import pytest

from deploy.embedded import processes, supervision, wipe
from deploy.embedded.stack import Stack

CHECKOUT = Path(__file__).resolve().parents[2]
# Much more than the promise: the machine may be busy with other things.
PATIENCE = 60

VICTIMS = (
    "postgres-primary", "postgres-replica", "valkey-cache", "valkey-state", "valkey-log",
    "read-1", "write-1", "worker-1", "events-1", "beat", "nginx", "guardian", "supervisord",
)  # fmt: skip


def what_is_wrong(stack: Stack) -> object:
    return stack.complaints() or stack.doctor.readiness()[0]


def wait_until_healed(stack: Stack, program: str, killed: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        back = stack.pid(program) not in (None, killed)
        wrong = what_is_wrong(stack) if back else "not started again"
        if not wrong:
            return
        assert time.monotonic() < deadline, wrong
        time.sleep(0.1)


@pytest.mark.parametrize("program", VICTIMS)
def test_a_killed_process_comes_back(stack, program):
    killed = stack.pid(program)
    users = users_of(stack)
    os.kill(killed, signal.SIGKILL)
    wait_until_healed(stack, program, killed)
    assert users_of(stack) == users


def users_of(stack: Stack) -> set[int]:
    return {uid for process in stack.processes() for uid in process.uids()}


def test_a_killed_gateway_leaves_nobody_on_its_port(stack):
    """A SIGKILLed nginx master leaves workers that hold the port and know only the old configuration."""
    killed = stack.pid("nginx")
    orphans = {process.pid for process in processes.of_program(stack.layout.stack_id, "nginx", str(stack.layout.nginx))}
    os.kill(killed, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while any(processes.is_alive(pid) for pid in orphans):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    wait_until_healed(stack, "nginx", killed)


@pytest.fixture
def small(tmp_path_factory):
    """A stack of its own, of servers only: without a guardian."""
    var = tmp_path_factory.mktemp("small")
    small = Stack(var=var, port=0, checkout=CHECKOUT)
    small.start_servers()
    yield small
    wipe.delete_everything(small)


def test_stop_also_ends_what_a_killed_supervisor_left(small):
    os.kill(small.pid("supervisord"), signal.SIGKILL)
    small.stop()
    assert small.processes() == []


def test_data_outlive_a_stop(small):
    url = small.environment("worker")["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1")
    small.stop()
    small.start_servers()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT * FROM kept").fetchone() == (1,)


def test_a_replica_that_lost_its_slot_is_built_anew(small):
    supervision.rpc(small.layout).stopProcess("postgres:postgres-replica")
    secret = small.cast.secret
    url = small.environment("worker")["DATABASE_URL"].replace(
        f"socialapp:{secret.write_password}@/socialapp", f"postgres:{secret.superuser_password}@/postgres"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_drop_replication_slot('replica')")
    supervision.rpc(small.layout).startProcess("postgres:postgres-replica")
    deadline = time.monotonic() + PATIENCE
    while wrong := small.complaints(["postgres-replica"]):
        assert time.monotonic() < deadline, wrong
        time.sleep(0.1)
