"""Fixtures of the shop's tests."""

import secrets
from uuid import UUID

import pytest

from orders.commands import AddProduct, SaveCategory
from socialapp.cqrs.execute import execute
from socialapp.tests.conftest import author, clean_stores  # noqa: F401 fixtures


@pytest.fixture
def add_category(servers):
    """add_category(name, parent_id=None) makes one with a slug of its own; returns its id."""

    def add(name: str = "Things", parent_id: UUID | None = None, **changes) -> UUID:
        fields = {"name": name, "slug": f"c-{secrets.token_hex(4)}", "parent_id": parent_id and str(parent_id)}
        return execute(SaveCategory(**fields | changes), actor_id=None).resource_id

    return add


@pytest.fixture
def add_product(servers):
    """add_product(**fields) makes one with a SKU of its own; returns its id."""

    def add(**changes) -> UUID:
        fields = {"sku": f"SKU-{secrets.token_hex(4)}", "name": "A thing", "price": "12.50", "currency": "EUR"}
        return execute(AddProduct(**fields | changes), actor_id=None).resource_id

    return add
