"""A shop of the demo world, run by the command `seed`: a tree of categories, and products with prices and stock."""

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import count, islice
from random import Random
from uuid import UUID

from django.db import transaction
from django.utils.text import slugify

from orders.models import Category, Product
from socialapp.cqrs.ids import PARTITIONS, id_at
from socialapp.ops import seeding
from socialapp.ops.seeding import World

TABLES = (Category, Product)
CATEGORY = ("id", "parent_id", "name", "slug", "path")
PRODUCT = ("id", "sku", "name", "description", "price", "stock", "category_id", "created_at")

# What each department and each of its shelves sells. As many categories as asked for are taken from the top, and again.
DEPARTMENTS = {
    "Home": {
        "Kitchen": ("kettle", "teapot", "frying pan", "bread knife", "mixing bowl", "pepper mill"),
        "Lighting": ("desk lamp", "floor lamp", "lantern", "candle holder"),
        "Textiles": ("blanket", "cushion", "tablecloth", "bath towel", "rug"),
    },
    "Garden": {
        "Tools": ("spade", "rake", "pair of shears", "watering can", "wheelbarrow"),
        "Furniture": ("bench", "folding chair", "side table", "hammock"),
    },
    "Office": {
        "Paper": ("notebook", "sketchbook", "calendar", "set of envelopes"),
        "Desk": ("pen", "pencil case", "letter opener", "bookend", "clock"),
    },
    "Outdoors": {
        "Camping": ("tent", "sleeping bag", "camping stove", "headlamp"),
        "Cycling": ("bell", "saddle", "pump", "pannier"),
    },
}
MATERIALS = ("oak", "walnut", "copper", "steel", "linen", "wool", "canvas", "leather", "bamboo", "glass", "recycled")
KINDS = ("small", "large", "foldable", "hand-made", "classic", "light", "sturdy", "plain")
PRAISE = (
    "Made to be repaired.", "Ships flat.", "Gets better with the years.", "A present that is used every day.",
    "Made in small numbers.", "With five years of guarantee.", "Washes at 40 degrees.", "Fits into any cupboard.",
)  # fmt: skip
SOLD_OUT = 0.05
# Of the typical price: most are near it, a few cost many times as much.
TYPICAL, SPREAD = 30, 0.8


def add_arguments(parser: ArgumentParser) -> None:
    number = seeding.number_of_rows
    parser.add_argument("--products", type=number, default=200, help="of the shop (default 200)")
    parser.add_argument("--categories", type=number, help="of the shop (default 13, 0 without products)")


def plan(options: dict) -> dict[str, int]:
    products, categories = options["products"], options["categories"]
    if categories is None:
        categories = len(list(_departments())) if products else 0
    return {"categories": categories, "products": products}


def write(world: World) -> None:
    shelves = _write_categories(world)
    moments = world.moments(world.rows["products"], 0, 1)
    for start in range(0, len(moments), seeding.BATCH):
        rows = [_product(world.random, moment, shelves) for moment in moments[start : start + seeding.BATCH]]
        with transaction.atomic(durable=True):
            seeding.copy(Product, PRODUCT, rows)
        world.progress(len(rows))
        world.highlights["a product"] = str(rows[-1][0])


def _departments() -> Iterator[tuple[str | None, str, tuple[str, ...]]]:
    """(department that it is in, name, what it sells), departments before their shelves."""
    for department, shelves in DEPARTMENTS.items():
        yield None, department, tuple(thing for things in shelves.values() for thing in things)
        for shelf, things in shelves.items():
            yield department, shelf, things


def _write_categories(world: World) -> list[tuple[UUID | None, tuple[str, ...]]]:
    """(id, what it sells) of each category that was written; with none, products belong to none."""
    taken = set(Category.objects.values_list("path", flat=True))
    rounds = (_round(world, taken) for _ in count())
    rows = list(islice((row for one in rounds for row in one), world.rows["categories"]))
    with transaction.atomic(durable=True):
        seeding.copy(Category, CATEGORY, (row for row, _ in rows))
    world.progress(len(rows))
    return [(row[0], things) for row, things in rows] or [(None, things) for _, _, things in _departments()]


def _round(world: World, taken: set[str]) -> Iterator[tuple[tuple, tuple[str, ...]]]:
    """Rows of all departments and shelves once, at paths that nobody has."""
    made: dict[str, tuple[UUID, str]] = {}
    for department, name, things in _departments():
        parent_id, above = made[department] if department else (None, "")
        slug = _unused(slugify(name), above, taken)
        path = f"{above}/{slug}" if above else slug
        category_id = id_at(world.start, world.random.randrange(PARTITIONS))
        if department is None:
            made[name] = category_id, path
        yield (category_id, parent_id, name, slug, path), things


def _unused(slug: str, above: str, taken: set[str]) -> str:
    """slug, slug-2, slug-3 …: the first that is free below `above`, which is then taken."""
    for number in count(1):
        chosen = slug if number == 1 else f"{slug}-{number}"
        path = f"{above}/{chosen}" if above else chosen
        if path not in taken:
            taken.add(path)
            return chosen
    raise AssertionError("numbers do not end")


def _product(random: Random, moment: datetime, shelves: list[tuple[UUID | None, tuple[str, ...]]]) -> tuple:
    category_id, things = random.choice(shelves)
    material, thing = random.choice(MATERIALS), random.choice(things)
    product_id = id_at(moment, random.randrange(PARTITIONS))
    name = f"{random.choice(KINDS)} {material} {thing}".capitalize()
    # Its own luck, not the world's: a second world of the same seed has other SKUs.
    sku = f"{slugify(thing)[:3]}-{product_id.hex[-12:]}".upper()
    description = " ".join(random.sample(PRAISE, 2))
    stock = 0 if random.random() < SOLD_OUT else random.randint(1, 200)
    return product_id, sku, name, description, _price(random), stock, category_id, moment


def _price(random: Random) -> Decimal:
    """4.90, 29.90, 119.00: as shops write prices."""
    whole = max(1, round(random.lognormvariate(0, SPREAD) * TYPICAL))
    return Decimal(whole) if whole >= 100 else Decimal(whole) - Decimal("0.10")
