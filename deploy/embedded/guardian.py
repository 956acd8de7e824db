"""Watches over supervisord itself, which cannot be its own nurse: when it is killed, ends what it left behind and
starts another, which starts another guardian. Also revives programs that supervisord has given up on."""

import os
import sys
import time
import xmlrpc.client
from pathlib import Path

from deploy.embedded import supervision
from deploy.embedded.failure import StackFailure
from deploy.embedded.stack import Stack

LOOK_EVERY = 0.25
REVIVE_EVERY = 5.0


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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
