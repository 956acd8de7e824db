"""The command line behind the Makefile: `python -m deploy.embedded up|down|status|logs|reset`."""

import argparse
import os
import socket
import sys
import time
from pathlib import Path

from deploy.embedded import ground, report, supervision
from deploy.embedded.failure import StackFailure
from deploy.embedded.layout import Layout
from deploy.embedded.stack import Stack

CHECKOUT = Path(__file__).resolve().parents[2]
DEFAULT_PORT = 8080


def up(arguments: argparse.Namespace) -> None:
    stack = the_stack(arguments)
    if supervision.pid(stack.layout):
        ground.check_same_stack(stack.layout, stack.port)
        if not patiently_examined(stack):
            print(f"Already running, and healthy.\n\n{report.greeting(stack)}")
            return
        print("Already running, but not whole: starting what is missing.")
    started = time.monotonic()
    stack.start(seed=True, say=report.step)
    if stack.runs_as_root:
        print("\nThe programs run as root: no other user can reach this checkout, its Python and VAR.")
    print(f"\nReady after {time.monotonic() - started:.1f} s.\n\n{report.greeting(stack)}")


def patiently_examined(stack: Stack) -> dict[str, str]:
    """What is wrong and stays so for the seconds that a restart takes."""
    deadline = time.monotonic() + 10
    while True:
        complaints = stack.complaints()
        application, _ = stack.doctor.readiness()
        if not complaints and not application:
            return {}
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    complaints |= {"application": application} if application else {}
    for name, complaint in complaints.items():
        print(f"{name}: {complaint}")
    return complaints


def down(arguments: argparse.Namespace) -> None:
    stack = the_stack(arguments)
    if not stack.layout.record.exists():
        print("Nothing runs here.")
        return
    started = time.monotonic()
    stack.stop()
    print(f"Stopped after {time.monotonic() - started:.1f} s; the data stay in {stack.layout.var}.")


def status(arguments: argparse.Namespace) -> None:
    stack = the_stack(arguments)
    if not supervision.pid(stack.layout):
        raise StackFailure("Not running: make up starts it")
    print(report.table(stack))
    if stack.complaints() or stack.doctor.readiness()[0]:
        raise SystemExit(1)


def logs(arguments: argparse.Namespace) -> None:
    folder = the_stack(arguments).layout.log
    found = sorted(folder.glob(f"{arguments.name or '*'}.log"))
    if not found:
        known = ", ".join(sorted(path.stem for path in folder.glob("*.log"))) or "none yet"
        raise StackFailure(f"No log of {arguments.name or 'anything'}; there are: {known}")
    os.execvp("tail", ["tail", "-n", "20", "-F", *map(str, found)])  # noqa: S606


def reset(arguments: argparse.Namespace) -> None:
    from deploy.embedded import wipe

    wipe.reset(the_stack(arguments), dry_run=arguments.dry_run, sure=arguments.yes)


def the_stack(arguments: argparse.Namespace) -> Stack:
    """On the port that was asked for, else where it runs already, else the default one."""
    layout = Layout.of(Path(arguments.var), CHECKOUT)
    running = ground.record(layout).get("port") if supervision.pid(layout) else None
    return Stack(var=layout.var, port=arguments.port or running or DEFAULT_PORT, checkout=CHECKOUT)


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="deploy.embedded", description="The whole system on this machine.")
    whole.add_argument("--var", default=os.environ.get("VAR") or "var", help="the folder of all state")
    whole.add_argument("--port", type=int, default=0, help="the gateway's port")
    commands = whole.add_subparsers(required=True)
    for command in (up, down, status, logs, reset):
        commands.add_parser(command.__name__).set_defaults(run=command)
    commands.choices["logs"].add_argument("name", nargs="?", help="one program's log; all without it")
    commands.choices["reset"].add_argument("--dry-run", action="store_true", help="only say what would go")
    commands.choices["reset"].add_argument("--yes", action="store_true", help="do not ask")
    return whole


def main() -> None:
    arguments = parser().parse_args()
    # A frozen supervisord is told as such, not waited for.
    socket.setdefaulttimeout(10)
    try:
        arguments.run(arguments)
    except StackFailure as failure:
        raise SystemExit(str(failure)) from None
    except PermissionError as error:
        raise SystemExit(f"{error.filename} belongs to another user: choose another place with VAR=...") from None
    except KeyboardInterrupt:
        raise SystemExit("\nInterrupted; make down stops what has been started.") from None


if __name__ == "__main__":
    sys.exit(main())
