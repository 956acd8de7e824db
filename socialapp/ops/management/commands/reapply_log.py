"""manage.py reapply_log: have the commands that the log retains applied again. For a primary that was just promoted."""

import time
from datetime import datetime

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from tqdm import tqdm

from socialapp.cqrs import log, retention, valkey, waking
from socialapp.cqrs.ids import PARTITIONS

# Seconds between two looks at how many commands wait.
LOOK_EVERY = 0.5


class Command(BaseCommand):
    help = (
        "Have commands that the log retains applied again; what has been applied is dropped. After a promotion, as"
        " the promoted replica may lack the last of them. Safe at any time, and repeatable."
    )

    def add_arguments(self, parser):
        parser.add_argument("--since", help="accepted since, e.g. 2026-01-15T11:00:00Z; default: all that is retained")
        parser.add_argument("--dry-run", action="store_true", help="count them, and change nothing")
        parser.add_argument("--no-wait", action="store_true", help="leave them to the workers, and do not watch")

    def handle(self, *, since: str | None, dry_run: bool, no_wait: bool, **options):
        try:
            again = rewind(moment(since), dry_run=dry_run)
            if dry_run:
                self.stdout.write(f"{again:,} commands would be read again.")
                return
            if not no_wait:
                watch(again, hidden=True if options["verbosity"] == 0 else None)
        except valkey.UNREACHABLE as error:
            raise CommandError(f"The command log (LOG_URL) cannot be reached: {error}") from error
        self.stdout.write(f"{again:,} commands {'will be' if no_wait else 'were'} read again.")


def moment(text: str | None) -> datetime:
    if text is None:
        return datetime.fromtimestamp(0, timezone.get_default_timezone())
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None:
        raise CommandError(f"--since {text!r} is no time such as 2026-01-15T11:00:00Z.")
    return found if timezone.is_aware(found) else timezone.make_aware(found)


def rewind(since: datetime, *, dry_run: bool) -> int:
    """How many commands will be read again; the workers are told."""
    again = 0
    for partition in range(PARTITIONS):
        found = retention.rewind(partition, since, dry_run=dry_run)
        again += found
        if found and not dry_run:
            waking.wake_partition(partition)
    return again


def watch(again: int, *, hidden: bool | None) -> None:
    """Until the workers have done it. Ctrl-C ends the watching, not their work."""
    with tqdm(total=again, unit=" commands", disable=hidden) as bar:
        while waiting := sum(log.backlog(partition) for partition in range(PARTITIONS)):
            bar.update(again - min(waiting, again) - bar.n)
            time.sleep(LOOK_EVERY)
        bar.update(again - bar.n)
