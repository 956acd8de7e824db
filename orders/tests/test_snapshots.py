"""An order is never shown with the lines of another version, wherever another transaction commits in between."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from threading import Thread

import pytest
from django.contrib.auth import get_user_model
from django.db import connections
from django.test import Client
from django.utils.timezone import now

from orders import fragments, queries
from orders.api.read_orders import visible_row
from orders.commands import ChangeOrder
from orders.documents import order_document
from orders.emails import consumer
from orders.emails.messages import message
from socialapp.accounts.models import User
from socialapp.cqrs import events
from socialapp.cqrs.execute import execute
from socialapp.identity.authentication import Bearer


@pytest.fixture
def order(author, add_product, place):
    """The id of an order in version 1: one unit at 1.00. Its customer has an email address."""
    User.objects.filter(pk=author).update(email="ada@example.com")
    return place({add_product(price="1.00", stock=100): 1}, payment_token="timeout").resource_id


@pytest.fixture
def interleaved(author, order, add_product) -> Callable:
    """interleaved(read): what `read` returns when another transaction makes it 50.00 after the first statement that
    reads an order."""
    dear = add_product(price="50.00", stock=100)

    def change() -> None:
        execute(ChangeOrder(items=(f"{dear} 1",)), actor_id=author, resource_id=order)
        connections.close_all()

    def read_interleaved(read: Callable) -> object:
        with after_the_first_read(change) as changed:
            found = read()
        assert changed, "nothing came in between"
        return found

    return read_interleaved


@contextmanager
def after_the_first_read(change: Callable) -> Iterator[list]:
    """Run `change` in a thread of its own, once."""
    changed = []

    def wrapper(run, sql, parameters, many, context):
        found = run(sql, parameters, many, context)
        if '"orders_order"' in sql and not changed:
            changed.append(sql)
            thread = Thread(target=change)
            thread.start()
            thread.join()
        return found

    with connections["default"].execute_wrapper(wrapper):
        yield changed


def require_whole(row: dict) -> None:
    lines = sum((line["quantity"] * line["unit_price"] for line in row["items"]), Decimal(0))
    assert (row["version"], row["total"], lines) == (1, Decimal("1.00"), Decimal("1.00"))


def test_an_order_is_read_whole(interleaved, author, order):
    require_whole(interleaved(lambda: visible_row(order, Bearer(author, "ada", was_staff=False), "default")))


def test_a_page_of_orders_is_read_whole(interleaved, author):
    total, rows = interleaved(lambda: queries.list_orders(user_id=author, offset=0, limit=10, using="default"))
    assert total == 1
    require_whole(rows[0])


def test_a_cached_page_is_whole(interleaved, author):
    total, documents = interleaved(lambda: fragments.load_orders_of(str(author), 1, 10, "default"))
    assert (documents[0]["total"]["amount"], documents[0]["items"][0]["total"]["amount"]) == ("1.00", "1.00")


def test_an_email_is_whole(interleaved, order):
    (placed,) = [one for one in events.history([order]) if type(one.event).__name__ == "OrderPlaced"]
    ((one, document, recipient),) = interleaved(lambda: list(consumer._due([placed])))
    text = message(one, document, recipient).body
    assert "1.00" in text and "50.00" not in text


def test_the_page_for_operators_is_whole(interleaved, order, settings):
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    operator = get_user_model()(username=f"operator_{order.hex[:12]}", is_staff=True, is_superuser=True)
    operator.save()
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(operator)
    page = interleaved(lambda: client.get(f"/admin/orders/order/{order}/change/")).content.decode()
    assert "1.00" in page and "50.00" not in page


def test_lines_are_read_as_they_were_written(order, author):
    (row,) = queries.get_orders([order], "default")
    document = order_document(row)
    assert (document["items"][0]["unit_price"], row["created_at"] <= now()) == (
        {"amount": "1.00", "currency": "EUR"}, True,
    )  # fmt: skip


def test_the_total_of_a_page_past_the_end_is_counted(order, author):
    assert queries.list_orders(user_id=author, offset=20, limit=10, using="default") == (1, [])
