"""manage.py repair_clock: set the clocks of partitions that are ahead to their servers' time."""

import time

from django.core.management.base import BaseCommand, CommandError

from socialapp.cqrs import partition_clocks, valkey
from socialapp.cqrs.ids import PARTITIONS
from socialapp.cqrs.partition_clocks import Ahead
from socialapp.cqrs.routing import DOWN

COLUMNS = "{:>9}{:>16}{:>16}  {}"
# Seconds that the workers get to apply what waits, and between two looks.
PATIENCE = 10.0
PAUSE = 0.2


class Command(BaseCommand):
    help = (
        "Set the clocks of partitions that are ahead to their servers' time. A clock is repaired when no command waits"
        " in its partition, so that none is overtaken. Exit code 1: a clock is still ahead. First mend the server whose"
        " clock is wrong (socialapp_clock_difference_seconds)."
    )

    def add_arguments(self, parser):
        parser.add_argument("--partition", help="only this one, as a hex digit, e.g. 7")
        parser.add_argument("--dry-run", action="store_true", help="show the clocks, and change nothing")

    def handle(self, *, partition: str | None, dry_run: bool, **options):
        wanted = chosen(partition)
        try:
            found = [one for one in partition_clocks.all_ahead() if one.partition in wanted]
            wrong = [one for one in found if one.is_wrong]
            left = [one for one in wrong if dry_run or not repaired(one.partition)]
        except (*valkey.UNREACHABLE, *DOWN) as error:
            raise CommandError(f"The log (LOG_URL) and the primary cannot both be asked: {error}") from error
        self.stdout.write(COLUMNS.format("partition", "log ahead", "inbox ahead", ""))
        for one in found:
            self.stdout.write(line(one, "ahead" if one in left else "repaired" if one in wrong else "right"))
        if left:
            names = ", ".join(f"{one.partition:x}" for one in left)
            advice = "run it without --dry-run" if dry_run else "commands wait there (manage.py backlog); try again"
            raise CommandError(f"The clock of partition {names} is ahead: {advice}.")


def chosen(partition: str | None) -> range:
    if partition is None:
        return range(PARTITIONS)
    try:
        number = int(partition, 16)
    except ValueError:
        number = -1
    if number not in range(PARTITIONS):
        raise CommandError(f"--partition {partition!r} is no hex digit.")
    return range(number, number + 1)


def repaired(partition: int) -> bool:
    """Whether it could be done within PATIENCE: the workers may be at what waits."""
    deadline = time.monotonic() + PATIENCE
    while not (done := partition_clocks.repair(partition)) and time.monotonic() < deadline:
        time.sleep(PAUSE)
    return done


def line(ahead: Ahead, state: str) -> str:
    return COLUMNS.format(f"{ahead.partition:x}", f"{ahead.log:,.1f} s", f"{ahead.inbox:,.1f} s", state)
