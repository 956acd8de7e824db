"""manage.py event_partitions: makes the event table's monthly partitions ahead, and drops those past the retention."""

import sys

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from socialapp.cqrs import partitions, roles
from socialapp.cqrs.partitions import Partition

LINE = "{:<28}{:>12}{:>12}{:>16}{:>12}"


class Command(BaseCommand):
    help = (
        "Show the event table's partitions, make those of the next months, and drop those that are older than the"
        " retention. Beat does the same each hour. Exit code 1: one that is due could not be dropped."
    )

    def add_arguments(self, parser):
        parser.add_argument("--ahead", type=int, default=partitions.AHEAD, metavar="MONTHS", help="default 3")
        kept = settings.EVENT_RETENTION_MONTHS
        meaning = f"how long events are kept, 0 for good (default {kept}: EVENT_RETENTION_MONTHS)"
        parser.add_argument("--retention", type=int, default=kept, metavar="MONTHS", help=meaning)
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        parser.add_argument("--yes", action="store_true", help="drop without asking")

    def handle(self, *, ahead: int, retention: int, dry_run: bool, yes: bool, **options):
        if not roles.may_write():
            raise CommandError(f"A process of role {roles.current()} cannot write; use SOCIALAPP_ROLE=worker.")
        self._show()
        for partition in partitions.missing(ahead=ahead):
            if not dry_run:
                partitions.create(partition)
            self.stdout.write(f"{'Would make' if dry_run else 'Made'} {partition}.")
        due = partitions.expired(months=retention)
        needed = {partition: reason for partition in due if (reason := partitions.still_needed(partition))}
        self._drop([partition for partition in due if partition not in needed], dry_run, yes)
        for partition, reason in needed.items():
            self.stderr.write(self.style.ERROR(f"{partition} is kept: {reason}."))
        if needed:
            raise CommandError(f"{len(needed)} could not be dropped.")

    def _show(self) -> None:
        self.stdout.write(LINE.format("partition", "from", "before", "rows (about)", "MiB"))
        sizes = partitions.sizes()
        for partition in partitions.existing():
            rows, size = sizes[partition.name]
            start = f"{partition.start:%Y-%m-%d}" if partition.start else "-"
            mib = f"{size / 2**20:,.1f}"
            self.stdout.write(LINE.format(partition.name, start, f"{partition.end:%Y-%m-%d}", f"{rows:,}", mib))

    def _drop(self, due: list[Partition], dry_run: bool, yes: bool) -> None:
        if not due:
            return
        names = ", ".join(map(str, due))
        if dry_run:
            self.stdout.write(f"Would drop {names}.")
        elif yes or confirmed(names):
            for partition in due:
                self._drop_one(partition)
        else:
            self.stdout.write("Nothing was dropped.")

    def _drop_one(self, partition: Partition) -> None:
        try:
            partitions.drop(partition)
        except OperationalError as error:
            raise CommandError(f"{partition} waits for a long transaction; run this again. {error}") from error
        self.stdout.write(f"Dropped {partition}.")


def confirmed(names: str) -> bool:
    if not sys.stdin.isatty():
        raise CommandError(f"This would drop {names} with all events in it; pass --yes.")
    return input(f"Drop {names} with all events in it? [y/N] ").strip().lower() in ("y", "yes")
