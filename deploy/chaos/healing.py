"""`python -m deploy.chaos.healing`: SIGKILL to each program in turn; how long until all is well again?

Well means: supervised programs run and answer, and `GET /health/ready` through the gateway says ready.
"""

import os
import signal
import time

from deploy.bench.servers import running_stack
from deploy.embedded.stack import Stack

PROMISE = 10.0
# Seconds after which a program counts as not coming back.
PATIENCE = 120.0


def main() -> None:
    with running_stack() as stack:
        programs = [program.name for program in stack.cast.programs()]
        slowest = max(show(program, heal(stack, program)) for program in [*programs, "supervisord"])
    print(f"{'slowest':18} {slowest:6.2f} s  (promised: {PROMISE:.0f} s)")
    raise SystemExit(slowest > PROMISE)


def heal(stack: Stack, program: str) -> float:
    """Seconds from the kill until everything is well."""
    killed = stack.pid(program)
    started = time.monotonic()
    os.kill(killed, signal.SIGKILL)
    while stack.pid(program) in (None, killed) or stack.complaints() or stack.doctor.readiness()[0]:
        if time.monotonic() - started > PATIENCE:
            raise SystemExit(f"{program} did not come back in {PATIENCE:.0f} s: {stack.complaints()}")
        time.sleep(0.05)
    return time.monotonic() - started


def show(program: str, seconds: float) -> float:
    print(f"{program:18} {seconds:6.2f} s", flush=True)
    return seconds


if __name__ == "__main__":
    main()
