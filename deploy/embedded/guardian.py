"""Watches over supervisord itself, which cannot be its own nurse: when it is killed, ends what it left behind and
starts another, which starts another guardian. Also revives programs that supervisord has given up on."""

import json
import os
import shutil
import sys
import time
import xmlrpc.client
from pathlib import Path

from deploy.embedded import ground, postgres_node, supervision
from deploy.embedded.failure import StackFailure
from deploy.embedded.stack import Stack

LOOK_EVERY = 0.25
REVIVE_EVERY = 5.0
REPLICA = "postgres-replica"


def main(var: Path) -> None:
    stack = Stack.recorded(var, Path(__file__).resolve().parents[2])
    write_to(stack.layout.log / "guardian.log")
    # From its file, not from getppid(): it may have been killed while we were starting.
    watch(stack, supervisor=supervision.recorded_pid(stack.layout))
    while stack.is_wanted():
        try:
            stack.revive()
        except StackFailure as failure:
            print(f"{failure}; trying again", flush=True)
            time.sleep(1)
        else:
            return


def write_to(log: Path) -> None:
    """Our output goes to supervisord: what we have to say when it is dead would end us with a broken pipe."""
    with log.open("a") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())


def watch(stack: Stack, supervisor: int | None) -> None:
    """Return when supervisord is no longer our parent."""
    revive_at = time.monotonic() + REVIVE_EVERY
    while os.getppid() == supervisor:
        time.sleep(LOOK_EVERY)
        if time.monotonic() > revive_at:
            revive_at = time.monotonic() + REVIVE_EVERY
            revive_given_up(stack)
            rebuild_lost_replica(stack)
    print("supervisord has died", flush=True)


def revive_given_up(stack: Stack) -> None:
    """After 20 failed starts a program is FATAL: a full disk, say. It may be over by now."""
    try:
        for name, entry in supervision.states(stack.layout).items():
            if entry["statename"] == "FATAL":
                print(f"starting {name} again", flush=True)
                supervision.rpc(stack.layout).startProcess(f"{entry['group']}:{name}", False)
    except (OSError, xmlrpc.client.Error) as error:
        print(f"supervisord does not answer: {error}", flush=True)


def rebuild_lost_replica(stack: Stack) -> None:
    """Start the replica again when the primary has thrown away WAL that it needs: then it is built anew.

    By itself it would go on answering, and follow no more. It waits until the disk has room for a start.
    """
    try:
        if not lacks_wal(stack):
            say_once("")
        elif shutil.disk_usage(stack.cast.home.path).free < ground.LEAST_DISK:
            say_once("the replica has lost its place in the primary's WAL; it is built anew when 1 GiB is free")
        else:
            say_once("the replica has lost its place in the primary's WAL: building it anew")
            supervision.restart(stack.layout, f"postgres:{REPLICA}")
    except (OSError, KeyError, ValueError, StackFailure, xmlrpc.client.Error) as error:
        say_once(f"the replica was not looked at: {error}")


def lacks_wal(stack: Stack) -> bool:
    """Whether the replica runs, and can never follow again."""
    state = supervision.states(stack.layout)[REPLICA]["statename"]
    if state != "RUNNING" or not stack.doctor.complaint(REPLICA):
        return False
    node = postgres_node.Node.of(json.loads(stack.layout.programs.read_text())[REPLICA]["postgres"])
    return node.is_started and postgres_node.lost_its_slot(node)


_said = ""


def say_once(words: str) -> None:
    """Print what is not what was said last: it is looked at every few seconds, perhaps on a full disk."""
    global _said
    if words and words != _said:
        print(words, flush=True)
    _said = words


if __name__ == "__main__":
    main(Path(sys.argv[1]))
