"""manage.py flush_cache: drop entries of the read cache. Safe at any time, reads just get slower for a while."""

import sys

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from socialapp.cqrs import cache, valkey


class Command(BaseCommand):
    help = "Drop everything in the read cache, or the entries that match a pattern."

    def add_arguments(self, parser):
        parser.add_argument("--pattern", help="glob over resource:scope:identifier, e.g. 'posts:entity:*'")
        parser.add_argument("--dry-run", action="store_true", help="count, and drop nothing")
        parser.add_argument("--yes", action="store_true", help="drop everything without asking")

    def handle(self, *, pattern: str | None, dry_run: bool, yes: bool, **options):
        try:
            if dry_run:
                self.stdout.write(f"Would drop {count(pattern):,} {noun(pattern)}.")
            elif pattern or yes or self._confirmed():
                hidden = True if options["verbosity"] == 0 else None
                self.stdout.write(f"Dropped {drop(pattern, hidden):,} {noun(pattern)}.")
            else:
                self.stdout.write("Nothing was dropped.")
        except valkey.UNREACHABLE as error:
            raise CommandError(f"The read cache (CACHE_URL) cannot be reached: {error}") from error

    def _confirmed(self) -> bool:
        if not sys.stdin.isatty():
            raise CommandError("This drops the whole read cache; pass --yes, or a --pattern.")
        answer = input(f"Drop all {count(None):,} keys? Every read will miss once. [y/N] ")
        return answer.strip().lower() in ("y", "yes")


def noun(pattern: str | None) -> str:
    """Without a pattern all that the cache holds goes, also its leases and floors."""
    return f"entries matching {pattern}" if pattern else "keys"


def count(pattern: str | None) -> int:
    if pattern is None:
        return valkey.read_cache().dbsize()
    return sum(1 for _ in cache.matching(pattern))


def drop(pattern: str | None, hidden: bool | None) -> int:
    dropped = 0
    with tqdm(unit=" keys", disable=hidden) as bar:
        for batch in cache.forget(pattern):
            dropped += batch
            bar.update(batch)
    return dropped
