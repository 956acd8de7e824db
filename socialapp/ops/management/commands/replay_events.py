"""manage.py replay_events: makes a consumer's read model again beside the live one, and swaps them."""

import sys
from argparse import ArgumentTypeError
from datetime import UTC, datetime
from itertools import islice

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from socialapp.cqrs import consumers, roles
from socialapp.cqrs.replays import CannotReplay, Difference, Replay

MOST_LINES = 50
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def date(text: str) -> datetime:
    """The type of an option; without a zone it is UTC. Raises ArgumentTypeError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date like 2026-01-31 or 2026-01-31T12:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = (
        "Fold events into a new read model while the live one goes on, show where they differ, and let the new one"
        " take its place. Exit code of a dry run: 1 if they differ."
    )

    def add_arguments(self, parser):
        able = sorted(name for name, running in consumers.declared().items() if running.rebuild)
        parser.add_argument("--consumer", required=True, choices=able)
        meaning = "fold events recorded since then; what was before, the rows tell"
        parser.add_argument("--from", dest="since", type=date, default=BEGINNING, metavar="DATE", help=meaning)
        parser.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *, consumer: str, since: datetime, dry_run: bool, yes: bool, verbosity: int, **options):
        if not roles.may_write():
            raise CommandError(f"A process of role {roles.current()} cannot write; use SOCIALAPP_ROLE=worker.")
        if not dry_run and not yes and not confirmed(consumer):
            self.stdout.write("Nothing was changed.")
            return
        difference = self._replay(consumer, since, dry_run, hidden=True if verbosity == 0 else None)
        self._show(difference)
        self.stdout.write(f"{len(difference):,} {'would change' if dry_run else 'were changed'}.")
        if dry_run and difference:
            raise CommandError("The live read model differs from its events.")

    def _replay(self, consumer: str, since: datetime, dry_run: bool, hidden: bool | None) -> Difference:
        try:
            with tqdm(unit=" events", disable=hidden) as bar:
                replay = Replay(consumer, since, bar.update)
                bar.reset(replay.total())
                return replay.dry_run() if dry_run else replay.run()
        except CannotReplay as error:
            raise CommandError(str(error)) from error

    def _show(self, difference: Difference) -> None:
        for key, (live, rebuilt) in islice(difference.items(), MOST_LINES):
            self.stdout.write(f"{key}: {live} -> {rebuilt}")
        if len(difference) > MOST_LINES:
            self.stdout.write(f"... and {len(difference) - MOST_LINES:,} more")


def confirmed(consumer: str) -> bool:
    if not sys.stdin.isatty():
        raise CommandError(f"This replaces the read model of {consumer}; look with --dry-run, then pass --yes.")
    return input(f"Replace the read model of {consumer}? [y/N] ").strip().lower() in ("y", "yes")
