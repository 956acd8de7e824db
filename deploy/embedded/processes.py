"""Finds and ends the processes of one stack, also those that a killed parent left behind. Touches no others:
a process belongs here by its environment or, where it overwrites that, by program and working folder."""

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

STACK = "SOCIALAPP_STACK"
PROGRAM = "SOCIALAPP_PROGRAM"
# nginx and Postgres write their titles over their environment.
SERVERS = frozenset({"nginx", "postgres", "valkey-server"})


def of_stack(stack_id: str, folders: Iterable[Path]) -> list[psutil.Process]:
    return list(_matching({STACK: stack_id}, {str(folder) for folder in folders}))


def of_program(stack_id: str, program: str, folder: str) -> list[psutil.Process]:
    return list(_matching({STACK: stack_id, PROGRAM: program}, {folder}))


def _matching(environment: dict[str, str], folders: set[str]) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if _works_in(process, folders) or environment.items() <= process.environ().items():
                yield process
        except (psutil.Error, OSError):
            continue  # it has just ended, or is another user's


def _works_in(process: psutil.Process, folders: set[str]) -> bool:
    return process.name() in SERVERS and process.cwd().removesuffix(" (deleted)") in folders


def end(processes: list[psutil.Process], patience: float) -> None:
    """Ask to stop, wait for `patience` seconds, then kill."""
    for process in processes:
        _send(process, signal.SIGINT if _is_postgres(process) else signal.SIGTERM)
    kill(_still_there(processes, patience))


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        _send(process, signal.SIGKILL)
    _still_there(processes, patience=5)


def _still_there(processes: list[psutil.Process], patience: float) -> list[psutil.Process]:
    """Those that outlived `patience` seconds. A zombie has ended, also where nobody collects it."""
    deadline = time.monotonic() + patience
    while processes := [process for process in processes if _runs(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return processes


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return False


def _is_postgres(process: psutil.Process) -> bool:
    try:
        return process.name() == "postgres"
    except psutil.Error:
        return False


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.Error):
        process.send_signal(number)


def is_alive(pid: int | None) -> bool:
    try:
        return bool(pid) and _runs(psutil.Process(pid))
    except psutil.Error:
        return False
