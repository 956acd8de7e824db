"""manage.py consumers: how far each event consumer has come; retries what one has parked, divides one into lanes."""

from django.core.management.base import BaseCommand, CommandError

from socialapp.cqrs import consumers, lanes, progress, roles
from socialapp.cqrs.execute import execute
from socialapp.cqrs.parking import RetryParkedEvents
from socialapp.cqrs.postgres import activity
from socialapp.cqrs.problems import Problem
from socialapp.cqrs.progress import MOST_COUNTED, Progress

COLUMNS = "{:<28}{:>5}  {:>24}{:>11}{:>12}{:>8}  {}"
TROUBLE = ("stands still", progress.HELD_BACK)


class Command(BaseCommand):
    help = "A table of all event consumers. Exit code 1: one stands still, is held back, or has parked events."

    def add_arguments(self, parser):
        actions = parser.add_subparsers(dest="action")
        retry = actions.add_parser("retry", help="let a consumer try again what it has parked")
        retry.add_argument("consumer")
        retry.add_argument("--event", type=int, metavar="POSITION", help="only this one")
        spread = actions.add_parser("spread", help="divide a consumer among as many lanes as the code declares")
        spread.add_argument("consumer")

    def handle(self, *, action: str | None, consumer: str | None = None, event: int | None = None, **options):
        if action is None:
            self._table()
            return
        if consumer not in consumers.declared():
            raise CommandError(f"There is no consumer {consumer!r}: {', '.join(sorted(consumers.declared()))}")
        if not roles.may_write():
            raise CommandError(f"A process of role {roles.current()} cannot write; use SOCIALAPP_ROLE=worker.")
        if action == "retry":
            self._retry(consumer, event)
        else:
            self._spread(consumer)

    def _table(self) -> None:
        self.stdout.write(COLUMNS.format("consumer", "lane", "offset", "unread", "behind", "parked", "state"))
        found = list(progress.all_consumers())
        for row in found:
            self.stdout.write(line(row))
        oldest = activity.oldest_transaction()
        if oldest and activity.is_old(oldest.seconds, progress.LONG_TRANSACTION):
            self.stdout.write(
                f"All wait for the transaction of {oldest}. If nobody needs it, end it: for a session "
                "SELECT pg_terminate_backend(…), for a prepared transaction ROLLBACK PREPARED."
            )
        troubled = sorted({row.offset.consumer for row in found if row.parked or row.state in TROUBLE})
        if troubled:
            raise CommandError(f"Look at {', '.join(troubled)}.")

    def _retry(self, consumer: str, position: int | None) -> None:
        try:
            execute(RetryParkedEvents(consumer, position), actor_id=None)
        except Problem as problem:
            raise CommandError(str(problem)) from problem
        self.stdout.write(f"{consumer} will try again within a second; `manage.py consumers` shows what stays parked.")

    def _spread(self, consumer: str) -> None:
        try:
            number = lanes.spread(consumer)
        except lanes.LaneBusy as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{consumer} has {number} lane{'s'[: number != 1]} now.")


def line(row: Progress) -> str:
    offset = row.offset
    lane = f"{offset.lane + 1}/{offset.lanes}"
    unread = f"{row.events:,}" + ("+" if row.events == MOST_COUNTED else "")
    cursor = f"{offset.xid}:{offset.position}"
    return COLUMNS.format(offset.consumer, lane, cursor, unread, f"{row.seconds:,.1f} s", row.parked, row.state)
