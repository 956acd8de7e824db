"""Ending what a killed parent has left behind, and nothing else."""

import os
import signal
import subprocess
import sys

import pytest

from deploy.embedded import processes

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"


@pytest.fixture
def start():
    started = []

    def begin(code=SLEEP, **marks):
        process = subprocess.Popen([sys.executable, "-c", code], env=marks, stdout=subprocess.PIPE)
        process.stdout.readline()
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def found(stack_id, program):
    return [process.pid for process in processes.of_program(stack_id, program, "/nowhere")]


def test_a_process_is_known_by_its_environment(start):
    mine = start(SOCIALAPP_STACK="test-a", SOCIALAPP_PROGRAM="read-1")
    start(SOCIALAPP_STACK="test-a", SOCIALAPP_PROGRAM="read-2")
    start(SOCIALAPP_STACK="test-b", SOCIALAPP_PROGRAM="read-1")
    assert found("test-a", "read-1") == [mine.pid]


def test_a_shell_that_stands_in_a_servers_folder_is_not_the_server(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bystander = start()
    assert bystander.pid not in [process.pid for process in processes.of_stack("test-c", [tmp_path])]


def test_the_stubborn_are_killed(start):
    process = start(STUBBORN, SOCIALAPP_STACK="test-d")
    processes.end(processes.of_stack("test-d", []), patience=0.2)
    assert process.wait(1) == -signal.SIGKILL


def test_a_zombie_does_not_live(start):
    process = start()
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.is_alive(process.pid)
