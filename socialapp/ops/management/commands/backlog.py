"""manage.py backlog: what waits to be applied in each partition, and for how long."""

from django.core.management.base import BaseCommand, CommandError

from socialapp.cqrs import backlog, valkey
from socialapp.cqrs.backlog import InLog
from socialapp.cqrs.log_history import losses
from socialapp.cqrs.routing import DOWN
from socialapp.ops import room

COLUMNS = "{:>9}{:>12}{:>11}{:>11}{:>9}{:>12}"
# Seconds. Most commands are applied in some hundredths of one.
LONG = 5


class Command(BaseCommand):
    help = (
        "What waits to be applied, by partition. Exit code 1: for over 5 s, or unreadable, or something is full, or the"
        " log has lost commands."
    )

    def handle(self, **options):
        try:
            inbox = backlog.in_inbox()
            troubles = room.troubles()
            troubles += [f"Partition {one.partition:x} of the log has lost commands: {one.loss}." for one in losses()]
        except DOWN as error:
            raise CommandError(f"The primary (DATABASE_URL) does not answer: {error}") from error
        try:
            partitions, (used, _) = backlog.in_log(), room.log()
        except valkey.UNREACHABLE as error:
            # `troubles` says so, and of which disk has no room.
            kept = sum(number for number, _ in inbox.values())
            troubles.append(f"{kept:,} commands wait in the inbox until the log (LOG_URL) is back.")
            raise CommandError("\n".join(troubles)) from error
        self.stdout.write(COLUMNS.format("partition", "in the log", "oldest", "set aside", "inbox", "unreadable"))
        late = []
        for found in partitions:
            kept, age = inbox.get(found.partition, (0, 0.0))
            self.stdout.write(line(found, kept, max(age, found.seconds)))
            if max(age, found.seconds) > LONG or found.unreadable:
                late.append(f"{found.partition:x}")
        total = sum(found.all for found in partitions) + sum(kept for kept, _ in inbox.values())
        self.stdout.write(f"{total:,} commands wait. The log uses {size(used.used)} of {size(used.most)}.")
        if late:
            troubles.append(f"Look at partition {', '.join(late)}: do the workers run, and what do they log?")
        if troubles:
            raise CommandError("\n".join(troubles))


def size(bytes_: int) -> str:
    return f"{bytes_ / 2**20:,.0f} MiB" if bytes_ else "unlimited memory"


def line(found: InLog, kept: int, seconds: float) -> str:
    numbers = f"{found.streamed:,}", f"{seconds:,.1f} s", f"{found.set_aside:,}", f"{kept:,}", f"{found.unreadable:,}"
    return COLUMNS.format(f"{found.partition:x}", *numbers)
