"""manage.py audit_consistency: does the read cache say what the primary says? Adds to the counts of /metrics."""

import time
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import suppress

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from socialapp.cqrs import audit, routing, valkey
from socialapp.cqrs.audit import CACHE
from socialapp.cqrs.sampling import sample
from socialapp.ops import auditing
from socialapp.ops.auditing import Auditor, Counts

# Seconds between two lines of a run without an end.
REPORT_EVERY = 5.0
# Seconds before a cache that is smaller than a sample is sampled again.
SMALL_CACHE_PAUSE = 1.0


def positive(text: str) -> int:
    """The type of an option. Raises ArgumentTypeError."""
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


class Command(BaseCommand):
    help = (
        "Compare entries of the read cache, and the replicas, with the primary. What disagrees is looked at again"
        " after 1, 5 and 10 seconds. Exit code 1: an entry is stale. 2: it could not be found out."
    )

    def add_arguments(self, parser):
        parser.add_argument("--rate", type=positive, default=100, metavar="KEYS_PER_SECOND", help="default 100")
        parser.add_argument("--once", action="store_true", help="one sample; without it, go on until Ctrl-C")
        parser.add_argument("--sample", type=positive, default=1000, metavar="KEYS", help="of --once; default 1000")

    def handle(self, *, rate: int, once: bool, verbosity: int, **options):
        auditor, self._named = Auditor(rate), 0
        try:
            if once:
                self._once(auditor, options["sample"], hidden=True if verbosity == 0 else None)
            else:
                self._until_stopped(auditor, rate)
        except valkey.UNREACHABLE as error:
            raise CommandError(f"The read cache (CACHE_URL) does not answer: {error}", returncode=2) from error
        except routing.DOWN as error:
            message = f"The primary (DATABASE_URL), which tells what is true, does not answer: {error}"
            raise CommandError(message, returncode=2) from error
        self._conclude(auditor)

    def _once(self, auditor: Auditor, limit: int, hidden: bool | None) -> None:
        auditor.look_at(tqdm(sample(limit), unit=" keys", disable=hidden))
        if auditor.waiting:
            self.stdout.write(f"{auditor.waiting:,} disagree; looking again for {audit.GRACES[-1]} s.")
        auditor.finish()

    def _until_stopped(self, auditor: Auditor, rate: int) -> None:
        self.stdout.write(f"At most {rate:,} keys per second, until Ctrl-C.")
        with suppress(KeyboardInterrupt):
            while True:
                look_for(REPORT_EVERY, auditor, rate)
                self._report(auditor)

    def _report(self, auditor: Auditor) -> None:
        self._export(auditor)
        self._name_violations(auditor)
        compared, at_once = auditing.compared(auditor.counts, CACHE), auditor.counts[CACHE, audit.within(0)]
        share = f", {at_once / compared:.2%} agree at once" if compared else ""
        stale = len(auditor.violations)
        self.stdout.write(f"{compared:,} compared{share}; {auditor.waiting:,} disagree so far; {stale:,} stale")

    def _conclude(self, auditor: Auditor) -> None:
        self._export(auditor)
        for line in table(auditor.counts):
            self.stdout.write(line)
        if auditor.waiting:
            self.stdout.write(f"{auditor.waiting:,} disagreed and were not looked at to the end")
        self._name_violations(auditor)
        if auditor.violations:
            message = "Stale entries were found. Drop them with flush_cache, and look for who wrote without a command."
            raise CommandError(message, returncode=1)

    def _name_violations(self, auditor: Auditor) -> None:
        """Those that were found since the last time."""
        for violation in list(auditor.violations.values())[self._named :]:
            self.stdout.write(self.style.ERROR("stale: " + " ".join(violation.slot).strip()))
            self.stdout.write(f"  the cache says    {violation.cached}")
            self.stdout.write(f"  the primary says  {violation.primary}")
        self._named = len(auditor.violations)

    def _export(self, auditor: Auditor) -> None:
        try:
            auditing.add(auditor.news())
        except valkey.UNREACHABLE as error:
            message = f"Not counted in /metrics, as the state store (STATE_URL) does not answer: {error}"
            self.stderr.write(self.style.WARNING(message))


def look_for(seconds: float, auditor: Auditor, rate: int) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        slots = sample(rate)
        auditor.look_at(slots)
        if len(slots) < rate:
            time.sleep(SMALL_CACHE_PAUSE)


def table(counts: Counts) -> Iterator[str]:
    """How much of what was compared agreed with the primary, within each grace."""
    yield f"{'':<12}{'compared':>10}" + "".join(f"{f'{grace} s':>10}" for grace in audit.GRACES)
    for place in auditing.places(counts):
        compared = auditing.compared(counts, place)
        agreeing = auditing.agreeing(counts, place).values() if compared else ()
        yield f"{place:<12}{compared:>10,}" + "".join(f"{number / compared:>10.2%}" for number in agreeing)
    agreed = {audit.within(grace) for grace in audit.GRACES}
    for (place, outcome), number in sorted(counts.items()):
        if outcome not in agreed:
            yield f"{number:,} {outcome} ({place})"
