"""The catalogue through the gateway, by the contract."""

import secrets
import subprocess
import sys

import pytest

from socialapp.tests.fixtures import CHECKOUT

# Runs in the write role of the stack: prints the ids of a category and of its products.
MADE = """
import django; django.setup()
from orders.commands import AddProduct, SaveCategory
from socialapp.cqrs.execute import execute
category = execute(SaveCategory("Tea", "{slug}"), actor_id=None).resource_id
for number in range(3):
    named = dict(sku=f"{slug}-{{number}}", name=f"Tea {{number}}", description="{slug}")
    sold = dict(price=f"{{number + 1}}.50", currency="EUR", category_id=str(category), stock=number)
    print(execute(AddProduct(**named, **sold), actor_id=None).resource_id)
"""


@pytest.fixture(scope="module")
def tea(stack) -> tuple[str, list[str]]:
    """(path of a category, ids of its three products, oldest first)."""
    slug = f"tea-{secrets.token_hex(4)}"
    command = [sys.executable, "-c", MADE.format(slug=slug)]
    environment = stack.environment("write") | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    run = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return slug, run.stdout.split()


def test_a_product_as_the_contract_says(api, tea):
    slug, ids = tea
    answer = api.get(f"/api/v1/products/{ids[2]}")
    product = answer.json()
    assert (answer.status, product["sku"], product["stock"]) == (200, f"{slug}-2", 2)
    assert product["price"] == {"amount": "3.50", "currency": "EUR"}
    assert product["category"]["path"] == slug
    known = api.get(f"/api/v1/products/{ids[2]}", if_none_match=answer.headers["ETag"])
    assert known.status == 304


def test_a_category_is_listed_page_by_page_newest_first(api, tea):
    slug, ids = tea
    first = api.get(f"/api/v1/products?category={slug}&limit=2").json()
    assert [one["id"] for one in first["results"]] == [ids[2], ids[1]]
    assert f"category={slug}&" in first["next"]
    second = api.get(first["next"]).json()
    assert [one["id"] for one in second["results"]] == [ids[0]] and second["next"] is None


def test_filters_narrow_and_stay_in_the_address_of_the_next_page(api, tea):
    slug, ids = tea
    first = api.get(f"/api/v1/products?q={slug}&min_price=1.50&max_price=2.50&limit=1").json()
    assert [one["id"] for one in first["results"]] == [ids[1]]
    second = api.get(first["next"]).json()
    assert [one["id"] for one in second["results"]] == [ids[0]]


def test_the_tree_of_categories(api, tea):
    found = api.get("/api/v1/categories").json()["results"]
    assert {"path": tea[0], "name": "Tea"}.items() <= next(one for one in found if one["path"] == tea[0]).items()


@pytest.mark.parametrize(
    "query", ["min_price=free", "max_price=-1", "min_price=1.005", "category=../etc", "q=" + "x" * 201, "limit=0"]
)
def test_a_filter_that_makes_no_sense_is_refused(api, query):
    answer = api.get(f"/api/v1/products?{query}")
    assert (answer.status, answer.json()["code"]) == (400, "validation_error")


def test_what_is_not_there_is_404(api, stack_url):
    assert api.get("/api/v1/products?category=no-such").status == 404
    assert api.get("/api/v1/products/01890000-0000-7000-8000-000000000000").status == 404
