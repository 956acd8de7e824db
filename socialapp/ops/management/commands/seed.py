"""manage.py seed: a demo world, at some ten thousand rows per second. Adds to what is there."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from tqdm import tqdm

from socialapp.cqrs import cache, roles, valkey
from socialapp.ops import seeding
from socialapp.ops.seeding import World


class Command(BaseCommand):
    help = "Add a demo world of the past 90 days: people, posts, comments and likes, a few very popular; and a shop."

    def add_arguments(self, parser):
        parser.add_argument("--seed", type=int, help="the same number gives the same names, texts and popularity")
        parser.add_argument("--dry-run", action="store_true", help="say what would be written, and write nothing")
        for module in seeding.modules():
            module.add_arguments(parser)

    def handle(self, **options):
        if not roles.may_write():
            raise CommandError(f"A process of role {roles.current()} cannot write; use SOCIALAPP_ROLE=worker.")
        rows = seeding.plan(options)
        if options["dry_run"]:
            self._report(f"Would write {sum(rows.values()):,} rows:", rows)
            return
        started = time.monotonic()
        world = self._write(rows, options)
        seconds = time.monotonic() - started
        total = sum(rows.values())
        self._report(f"Wrote {total:,} rows in {seconds:.1f} s, {total / seconds:,.0f} per second:", rows)
        for name, value in world.highlights.items():
            self.stdout.write(f"{name}: {value}")

    def _report(self, headline: str, rows: dict[str, int]) -> None:
        self.stdout.write(headline)
        for kind, number in rows.items():
            self.stdout.write(f"{number:>12,} {kind}")

    def _write(self, rows: dict[str, int], options: dict) -> World:
        hidden = True if options["verbosity"] == 0 else None
        with without_statement_timeout(), tqdm(total=sum(rows.values()), unit=" rows", disable=hidden) as bar:
            world = World(rows, Random(options["seed"]), bar.update)
            try:
                for module in seeding.modules():
                    module.write(world)
            finally:
                self._drop_cache()
            analyze()
        return world

    def _drop_cache(self) -> None:
        """Rows that did not come through commands have invalidated nothing."""
        try:
            for _ in cache.forget():
                pass
        except valkey.UNREACHABLE as error:
            message = f"The read cache may show old lists for a while: {error}. Run flush_cache when it is back."
            self.stderr.write(self.style.WARNING(message))


@contextmanager
def without_statement_timeout() -> Iterator[None]:
    with connections["default"].cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
    try:
        yield
    finally:
        with connections["default"].cursor() as cursor:
            cursor.execute("RESET statement_timeout")


def analyze() -> None:
    """Tell the planner about the new rows now, instead of some minutes later."""
    quote = connections["default"].ops.quote_name
    tables = ", ".join(quote(model._meta.db_table) for module in seeding.modules() for model in module.TABLES)
    with connections["default"].cursor() as cursor:
        cursor.execute(f"VACUUM (ANALYZE) {tables}")
