"""manage.py flash_sale: a drill against a running stack, through its gateway."""

import math
from argparse import ArgumentTypeError
from collections import Counter
from urllib.parse import SplitResult, urlsplit

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from orders import flash_sale
from orders.flash_sale import Attempt, Books
from socialapp.cqrs import roles

PERCENTILES = (50, 99, 100)


def positive(text: str) -> int:
    """The type of an option. Raises ArgumentTypeError."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 1_000_000:
        raise ArgumentTypeError(f"{text!r} is no number from 1 to 1,000,000")
    return int(text)


def address(text: str) -> SplitResult:
    """The type of an option. Raises ArgumentTypeError."""
    found = urlsplit(text)
    if found.scheme != "http" or not found.hostname:
        raise ArgumentTypeError(f"{text!r} is no address like http://127.0.0.1:8080")
    return found


class Command(BaseCommand):
    help = (
        "Let many buyers order the few units of a product at the same moment, through the gateway, and check the books:"
        " what is left and what was sold must be what there was. Buyers and orders stay; the product is taken off sale."
    )

    def add_arguments(self, parser):
        parser.add_argument("--buyers", type=positive, default=1000)
        parser.add_argument("--stock", type=positive, default=100, help="units to begin with")
        parser.add_argument("--at-once", type=positive, default=128, help="buyers that order at the same moment")
        meaning = "how often a buyer repeats, with the same Idempotency-Key, what was answered by nobody or by a 5xx"
        parser.add_argument("--repeats", type=int, default=5, help=meaning)
        parser.add_argument("--url", type=address, default=None, help="of the gateway (default PUBLIC_URL)")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *, buyers, stock, at_once, repeats, url, json, verbosity, **options):
        if not roles.may_write():
            raise CommandError(f"A process of role {roles.current()} cannot write; use SOCIALAPP_ROLE=worker.")
        url = url or self._gateway()
        with flash_sale.prepared(buyers, stock) as sale:
            with tqdm(total=buyers, unit=" buyers", disable=True if verbosity == 0 or json else None) as bar:
                attempts = flash_sale.run(sale, url, at_once=at_once, repeats=repeats, told=bar.update)
            books = flash_sale.books(sale, attempts)
        report = describe(attempts, books)
        self.stdout.write(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode() if json else table(report))
        if not books.balance:
            raise CommandError("The books do not balance.")

    def _gateway(self) -> SplitResult:
        try:
            return address(settings.PUBLIC_URL)
        except ArgumentTypeError as error:
            raise CommandError("PUBLIC_URL names no gateway to try it on; use --url.") from error


def describe(attempts: list[Attempt], books: Books) -> dict:
    """Outcomes and troubles by name, milliseconds by percentile, and the books in units."""
    seconds = sorted(attempt.seconds for attempt in attempts)
    return {
        "outcomes": dict(Counter(attempt.outcome for attempt in attempts).most_common()),
        "troubles": dict(sum((attempt.troubles for attempt in attempts), Counter())),
        "milliseconds": {f"p{p}": round(1000 * seconds[math.ceil(len(seconds) * p / 100) - 1]) for p in PERCENTILES},
        "books": {
            "start": books.start,
            "left": books.left,
            "sold": books.sold,
            "lost": len(books.lost),
            "balance": books.balance,
        },
    }


def table(report: dict) -> str:
    outcomes = "\n".join(f"{name:<24}{number:>8,}" for name, number in report["outcomes"].items())
    troubles = "".join(f"\n  repeated after {name:<20}{number:>8,}" for name, number in report["troubles"].items())
    times = ", ".join(f"{name} {value:,} ms" for name, value in report["milliseconds"].items())
    units = report["books"]
    return (
        f"{outcomes}{troubles}\nuntil the answer: {times}\n"
        f"books: {units['start']} units = {units['left']} left + {units['sold']} sold; {units['lost']} orders lost;"
        f" they {'balance' if units['balance'] else 'DO NOT BALANCE'}"
    )
