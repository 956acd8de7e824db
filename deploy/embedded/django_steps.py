"""What Django has to do before the pools start: static files, migrations, and the demo world. One Python start-up for
all of them. Run by `stack` as a program of its own, with the environment of the worker role."""

import sys
import time

import django
from django.core.management import call_command


def main(steps: list[str]) -> None:
    django.setup()
    for step in steps:
        started = time.monotonic()
        STEPS[step]()
        # The marker is read by `stack`, everything else is only logged.
        print(f"\n@done {step} {time.monotonic() - started:.1f}", flush=True)


def wait_for_database() -> None:
    """The servers start while Django is being imported; the stack closes our input when the database is complete."""
    sys.stdin.read()


def migrate() -> None:
    wait_for_database()
    call_command("migrate", interactive=False)


def seed() -> None:
    call_command("demo_accounts")
    call_command("seed", users=200, posts=2000)


STEPS = {
    "static files": lambda: call_command("collectstatic", interactive=False, verbosity=1),
    "migrations": migrate,
    "demo world": seed,
}

if __name__ == "__main__":
    main(sys.argv[1:])
