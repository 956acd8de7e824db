"""The demo shop agrees with itself and with the rules of the catalogue."""

import re
from decimal import Decimal
from io import StringIO

import orjson
import pytest
from django.core.management import call_command

from orders import fragments
from orders.commands import CorrectStock
from orders.models import SKU, Category, Product
from socialapp.cqrs.execute import execute

SIZE = {"users": 0, "posts": 0, "products": 300, "categories": 20}


def seed(**options) -> tuple[list[Category], list[Product]]:
    """What was added."""
    categories, products = (set(model.objects.values_list("pk", flat=True)) for model in (Category, Product))
    call_command("seed", **options, stdout=StringIO())
    return (
        list(Category.objects.exclude(pk__in=categories).order_by("path")),
        list(Product.objects.exclude(pk__in=products).select_related("category").order_by("pk")),
    )


@pytest.fixture(scope="module")
def shop(servers) -> tuple[list[Category], list[Product]]:
    return seed(**SIZE, seed=5)


def test_as_many_rows_as_asked_for(shop):
    categories, products = shop
    assert (len(categories), len(products)) == (20, 300)


def test_paths_lead_through_the_parents(shop):
    categories = {category.pk: category for category in shop[0]}
    for category in categories.values():
        above = categories[category.parent_id].path + "/" if category.parent_id else ""
        assert category.path == above + category.slug
    assert any(category.parent_id for category in categories.values())


def test_products_are_plausible(shop):
    categories, products = shop
    assert {product.category for product in products} == set(categories)
    for product in products:
        assert re.fullmatch(SKU, product.sku) and product.name and product.description
        assert product.price > 0 and product.price == product.price.quantize(Decimal("0.01"))
        assert product.stock >= 0 and (product.version, product.sequence, product.is_sold) == (1, 1, True)
    assert len({product.price for product in products}) > 20
    assert 0 < sum(product.stock == 0 for product in products) < 60


def test_the_same_seed_tells_the_same_again_at_other_addresses(shop):
    again = seed(**SIZE, seed=5)
    assert [product.name for product in again[1]] == [product.name for product in shop[1]]
    assert [product.price for product in again[1]] == [product.price for product in shop[1]]
    assert not {category.path for category in again[0]} & {category.path for category in shop[0]}


def test_commands_go_on_from_seeded_rows(shop):
    product = shop[1][0]
    execute(CorrectStock(5, "found"), actor_id=None, resource_id=product.pk)
    assert orjson.loads(fragments.products.get(product.pk).body)["stock"] == product.stock + 5


def test_a_shop_without_categories(servers):
    categories, products = seed(users=0, posts=0, products=3, categories=0)
    assert not categories and [product.category for product in products] == [None] * 3
