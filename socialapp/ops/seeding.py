"""What the `seeds` modules of the apps are built from; the command `seed` runs them in the order of the apps.

A `seeds` module has TABLES (the models it writes), add_arguments(parser), plan(options) and write(world).
"""

from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import accumulate
from random import Random
from types import ModuleType
from uuid import UUID

from django.apps import apps
from django.db import connections
from django.db.models import NOT_PROVIDED, AutoField, Field, Model
from django.utils.module_loading import module_has_submodule
from faker import Faker

SPAN = timedelta(days=90)
# Rows of one transaction: large enough that a commit costs nothing, short enough for consumers of events.
BATCH = 20_000


@dataclass
class World:
    """One run. rows: what is to be written, by kind; ids: what was written, for the apps that come later.

    progress(n) is told of n more rows; highlights go into the summary. Times run from `start` to `end`.
    """

    rows: dict[str, int]
    random: Random
    progress: Callable[[int], object]
    end: datetime = field(default_factory=lambda: datetime.now(UTC))
    ids: dict[str, list[UUID]] = field(default_factory=dict)
    highlights: dict[str, str] = field(default_factory=dict)

    @property
    def start(self) -> datetime:
        return self.end - SPAN

    def moments(self, count: int, first: float, last: float) -> list[datetime]:
        """`count` times in order, between two points of the span (0 is its start, 1 its end)."""
        points = sorted(self.random.uniform(first, last) for _ in range(count))
        return [self.start + SPAN * point for point in points]


def modules() -> list[ModuleType]:
    """The `seeds` modules of the installed apps, in their order: who is referred to comes first."""
    found = [config for config in apps.get_app_configs() if module_has_submodule(config.module, "seeds")]
    return [import_module(f"{config.name}.seeds") for config in found]


def plan(options: dict) -> dict[str, int]:
    """Rows by kind. Raises CommandError for what cannot be."""
    return {kind: rows for module in modules() for kind, rows in module.plan(options).items()}


def number_of_rows(text: str) -> int:
    """The type of an option. Raises ArgumentTypeError."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a number of rows")
    return int(text)


def copy(model: type[Model], columns: Sequence[str], rows: Iterable[tuple]) -> None:
    """Append rows by COPY, inside the caller's transaction. Columns that are not named get the model's defaults."""
    constants = _constants(model, columns)
    tail = tuple(constants.values())
    quote = connections["default"].ops.quote_name
    names = ", ".join(map(quote, [*columns, *constants]))
    with (
        connections["default"].cursor() as cursor,
        cursor.copy(f"COPY {quote(model._meta.db_table)} ({names}) FROM STDIN") as stream,
    ):
        for row in rows:
            stream.write_row(row + tail)


def _constants(model: type[Model], columns: Sequence[str]) -> dict[str, object]:
    """Django keeps defaults in Python; the database knows only those of db_default and of identity columns."""
    left = [
        column
        for column in model._meta.concrete_fields
        if column.attname not in columns and column.db_default is NOT_PROVIDED and not _made_by_postgres(column)
    ]
    return {c.column: c.get_db_prep_save(c.get_default(), connections["default"]) for c in left}


def _made_by_postgres(column: Field) -> bool:
    return column.generated or isinstance(column, AutoField)


def zipf(count: int) -> list[float]:
    """Weights of ranks 1 to `count`: the n-th has one n-th of the first's."""
    return [1 / rank for rank in range(1, count + 1)]


def shares(total: int, count: int, *, most: int, random: Random) -> list[int]:
    """Deal `total` things to `count` ranks by Zipf's law, at most `most` to each; what that leaves goes down.

    All are dealt, if `most` allows it at all.
    """
    weights = zipf(count)
    behind = list(accumulate(reversed(weights)))
    dealt = []
    for weight in weights:
        # Rounded up or down by chance: else a whole tail of small fractions would get nothing.
        wanted = int(total * weight / behind.pop() + random.random())
        share = min(max(wanted, total - most * len(behind)), most, total)
        dealt.append(share)
        total -= share
    return dealt


def faker(random: Random, locale: str = "en_US") -> Faker:
    """A Faker of the world's own luck. It takes 50 microseconds per sentence: make a pool, then combine."""
    fake = Faker(locale)
    fake.seed_instance(random.getrandbits(64))
    return fake
