"""The start wrapper: supervisord runs `python -m deploy.embedded.launch NAME` in VAR. It ends what an earlier, killed
instance of the program left behind, prepares a Postgres node, and then becomes the program."""

import ctypes
import json
import os
import resource
import signal
import sys
import time

from deploy.embedded import account, postgres_node, processes

PR_SET_PDEATHSIG = 1


def main(name: str) -> None:
    with open("programs.json") as file:
        program = json.load(file)[name]
    leftovers = processes.of_program(program["environment"][processes.STACK], name, program["folder"])
    processes.kill(leftovers)
    if program["postgres"]:
        postgres_node.prepare(program["postgres"])
    become(program)


def become(program: dict) -> None:
    os.chdir(program["folder"])
    raise_open_files()
    drop_privileges(program["account"])
    if program["follows_supervisor"]:
        follow_parent(signal.Signals[f"SIG{program['stop_signal']}"])
    if not program["reads_all"]:
        account.read_no_more()
    os.execve(program["command"][0], program["command"], program["environment"])  # noqa: S606


def raise_open_files() -> None:
    """Often 1,024 by default, though more is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def drop_privileges(account: dict) -> None:
    if account:
        os.setgroups(account["extra_groups"])
        os.setgid(account["group"])
        os.setuid(account["user"])


def follow_parent(number: signal.Signals) -> None:
    """Have Linux send us the stop signal when supervisord dies. Survives exec, but not a change of user."""
    if not sys.platform.startswith("linux"):
        return
    supervisor = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != supervisor:
        raise SystemExit("supervisord has died meanwhile")


if __name__ == "__main__":
    # Postgres is stopped by SIGINT, also while it is being prepared: no traceback for that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        main(sys.argv[1])
    except postgres_node.NodeNotReady as not_ready:
        print(not_ready, file=sys.stderr)
        # Not at once again: what is missing needs a moment.
        time.sleep(0.5)
        raise SystemExit(1) from None
