"""`python -m deploy.chaos`: what follows when parts of a running stack are killed or frozen.

Fails when a GET did, when a write was lost, doubled or out of order, or when healing took longer than is promised.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from deploy.bench.servers import CHECKOUT, running_stack
from deploy.chaos import healing, reads, report, writes
from deploy.embedded.stack import Stack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which parts to run; all of them without any")
    parser.add_argument("--seconds", type=float, default=5.0, help="of reads before, during and after each fault")
    parser.add_argument("--output", type=Path, default=Path("var/chaos"))
    options = parser.parse_args()
    complaints = []
    for part in options.parts or PARTS:
        with running_stack() as stack:
            complaints += PARTS[part](stack, options)
    print(f"reports are in {options.output}", *complaints, sep="\nMISSED: ")
    raise SystemExit(bool(complaints))


def read_part(stack: Stack, options: argparse.Namespace) -> list[str]:
    rows = report.show(reads.run(stack, seconds=options.seconds), report.READS)
    report.write(options.output, "reads", rows)
    failed = sum(row.failed for row in rows)
    print(f"failed GETs: {failed} of {sum(row.gets for row in rows):,}")
    return [f"{failed} GETs failed"] if failed else []


def write_part(stack: Stack, options: argparse.Namespace) -> list[str]:
    rows = report.show(writes.run(stack), report.WRITES)
    report.write(options.output, "writes", rows)
    print(f"accepted writes: {sum(row.accepted for row in rows):,}; went wrong: {sum(row.wrong for row in rows)}")
    return [*writes.missed(stack, rows), *stale_entries(stack)]


def stale_entries(stack: Stack) -> list[str]:
    environment = os.environ | stack.environment("worker")
    command = [sys.executable, "manage.py", "audit_consistency", "--once", "--verbosity=0"]
    audit = subprocess.run(command, cwd=CHECKOUT, env=environment, timeout=300, check=False)
    return [f"audit_consistency: exit code {audit.returncode}"] if audit.returncode else []


def healing_part(stack: Stack, options: argparse.Namespace) -> list[str]:
    healed = healing.run(stack)
    report.write(options.output, "healing", healed)
    return [] if healing.promise_kept(healed) else ["healing took longer than promised"]


PARTS = {"reads": read_part, "writes": write_part, "healing": healing_part}

if __name__ == "__main__":
    main()
