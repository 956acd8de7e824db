"""manage.py acknowledge_log_loss: end the alarm that the log has lost commands."""

from django.core.management.base import BaseCommand

from socialapp.cqrs import log_history


class Command(BaseCommand):
    help = (
        "End the alarm that the log came back empty, shorter or as another one. Commands that were accepted and not"
        " applied are lost then: their clients are told `eventual`. Restore the log's disk first, if that is possible."
    )

    def add_arguments(self, parser):
        parser.add_argument("--dry-run", action="store_true", help="show what was lost, and change nothing")

    def handle(self, *, dry_run: bool, **options):
        lost = log_history.losses()
        for one in lost:
            self.stdout.write(f"partition {one.partition:x}, {one.lost_at:%Y-%m-%d %H:%M:%S} UTC: {one.loss}")
        if not lost:
            self.stdout.write("The log has lost nothing that was not acknowledged.")
        elif not dry_run:
            self.stdout.write(f"Acknowledged for {log_history.acknowledge()} partitions.")
