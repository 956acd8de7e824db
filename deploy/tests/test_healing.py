"""kill -9 of any one process, and everything is back within ten seconds (of an otherwise idle machine)."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg.sql import Literal

from deploy.embedded import processes, supervision, wipe
from deploy.embedded.stack import Stack
from socialapp.tests.topology.conftest import as_superuser, wait_until

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


def test_a_replica_that_lost_its_place_is_built_anew(stack):
    """What a full disk leaves behind: it answers, and the WAL that it would need next is gone."""
    with as_superuser(stack, "primary") as primary, as_superuser(stack, "replica") as replica:
        (conninfo,) = replica.execute("SHOW primary_conninfo").fetchone()
        set_option(primary, "max_slot_wal_keep_size", "1MB")
        set_option(replica, "primary_conninfo", "")
        wait_until(primary, "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'replica'")
        for _ in range(3):
            primary.execute("CREATE TABLE filler ()")
            primary.execute("DROP TABLE filler")
            primary.execute("SELECT pg_switch_wal()")
        primary.execute("CHECKPOINT")
        set_option(primary, "max_slot_wal_keep_size", "1GB")
        wait_until(primary, "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = 'replica'")
        lost = stack.pid("postgres-replica")
        set_option(replica, "primary_conninfo", conninfo)
    wait_until_healed(stack, "postgres-replica", lost)


def set_option(connection: psycopg.Connection, name: str, value: str) -> None:
    connection.execute(f"ALTER SYSTEM SET {name} = {Literal(value).as_string()}")
    connection.execute("SELECT pg_reload_conf()")


def users_of(stack: Stack) -> set[int]:
    users = set()
    for process in stack.processes():
        # A Postgres session may have ended since.
        with suppress(psutil.NoSuchProcess):
            users |= set(process.uids())
    return users


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
