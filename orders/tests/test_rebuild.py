"""rebuild_orders: nothing that handlers do makes a difference, what was tampered with is found and put right."""

import random
from contextlib import suppress
from decimal import Decimal
from io import StringIO
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from orders import fragments, rebuild
from orders.commands import AddAddress, CancelOrder, ChangeOrder, CorrectStock
from orders.events import orders_key
from orders.models import Order, OrderItem, Product, Status
from orders.tests.moves import become
from socialapp.cqrs import valkey
from socialapp.cqrs.execute import execute
from socialapp.cqrs.problems import Problem

STEPS = 120
MISSING = UUID(int=1)


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("rebuild_orders", *arguments, verbosity=0, stdout=out)
    return out.getvalue()


class Shop:
    """Does something that may be refused, again and again."""

    def __init__(self, seed: int, place, user: UUID, products: list[UUID]):
        self.random, self.place, self.user, self.products = random.Random(seed), place, user, products
        self.orders: list[UUID] = []
        home = AddAddress("Ann", "Lane 1", "Town", "DE")
        self.homes = [str(execute(home, actor_id=user).resource_id) for _ in range(2)]

    def step(self) -> None:
        steps = [self.order, self.order, self.change, *[self.move] * 4, self.address, self.cancel, self.correct]
        with suppress(Problem):
            self.random.choice(steps if self.orders else steps[:1])()

    def units(self) -> dict[UUID, int]:
        chosen = self.random.sample(self.products, self.random.randint(1, len(self.products)))
        return {product: self.random.randint(1, 4) for product in chosen}

    def order(self) -> None:
        home = self.random.choice([None, *self.homes])
        self.orders.append(self.place(self.units(), address_id=home).resource_id)

    def change(self) -> None:
        self.tell(ChangeOrder(items=tuple(f"{product} {count}" for product, count in self.units().items())))

    def address(self) -> None:
        self.tell(ChangeOrder(address_id=self.random.choice(self.homes)))

    def cancel(self) -> None:
        self.tell(CancelOrder("changed my mind"))

    def move(self) -> None:
        statuses = [Status.PAID, Status.PAID, Status.SHIPPED, Status.DELIVERED, Status.PAYMENT_FAILED]
        become(self.random.choice(self.orders), self.random.choice(statuses))

    def correct(self) -> None:
        correction = CorrectStock(self.random.choice([-3, -1, 5, 9]), "counted")
        execute(correction, actor_id=None, resource_id=self.random.choice(self.products))

    def tell(self, command: object) -> None:
        execute(command, actor_id=self.user, resource_id=self.random.choice(self.orders))


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_done_by_commands_the_tables_say_what_the_events_say(seed, place, author, add_product):
    products = [add_product(stock=60, price=price) for price in ("3.35", "12", "0.99")]
    shop = Shop(seed, place, author, products)
    for _ in range(STEPS):
        shop.step()
    found = rebuild.compare_orders(shop.orders)
    assert (found.compared, found.untold, found.differences) == (len(shop.orders), 0, [])
    assert len({order.status for order in Order.objects.filter(pk__in=shop.orders)}) >= 4
    books = rebuild.compare_stock(products)
    assert (books.compared, books.untold, books.differences) == (3, 0, [])


@pytest.fixture
def order(place, author, add_product) -> UUID:
    home = execute(AddAddress("Ann", "Lane 1", "Town", "DE"), actor_id=author).resource_id
    placed = place({add_product(stock=9, price="3.35"): 2, add_product(stock=9): 1}, address_id=str(home)).resource_id
    become(placed, Status.PAID)
    return placed


TAMPERED = {
    "status": lambda order: Order.objects.filter(pk=order).update(status="shipped"),
    "payment": lambda order: Order.objects.filter(pk=order).update(payment="refunded"),
    "total": lambda order: Order.objects.filter(pk=order).update(total=Decimal("0.01")),
    "address": lambda order: Order.objects.filter(pk=order).update(address={"name": "Eve"}),
    "version": lambda order: Order.objects.filter(pk=order).update(version=7),
    "items": lambda order: OrderItem.objects.filter(order=order).first().delete(),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_tampered_with_is_found_and_put_right(name, order, author):
    before = fragments.orders_of_user.get(author, page=1, limit=20)
    TAMPERED[name](order)
    valkey.read_cache().delete(orders_key(str(author)))
    wrong = fragments.orders_of_user.get(author, page=1, limit=20)
    assert wrong.results != before.results
    (difference,) = rebuild.compare_orders([order]).differences
    assert list(difference.fields) == [name]
    out = StringIO()
    with pytest.raises(CommandError, match="differ from their events"):
        call_command("rebuild_orders", "--dry-run", "--order", str(order), verbosity=0, stdout=out)
    assert f"{name} " in out.getvalue() and str(order) in out.getvalue()
    assert "1 were corrected" in run("--yes", "--order", str(order))
    assert fragments.orders_of_user.get(author, page=1, limit=20) == before
    assert "1 orders were compared, 0 differ." in run("--dry-run", "--order", str(order))


def test_nothing_is_corrected_without_a_word(order):
    TAMPERED["status"](order)
    with pytest.raises(CommandError, match="pass --yes"):
        run("--order", str(order))
    assert Order.objects.get(pk=order).status == "shipped"
    run("--order", str(order), "--yes")
    assert Order.objects.get(pk=order).status == "paid"
    with pytest.raises(CommandError, match="There is no order"):
        run("--dry-run", "--order", str(MISSING))


def forget_first_event(aggregate: UUID) -> None:
    """As a retention of events does in the course of time."""
    with connections["default"].cursor() as cursor:
        cursor.execute("DELETE FROM cqrs_event WHERE aggregate_id = %s AND aggregate_version = 1", [aggregate])


def test_orders_whose_placing_is_not_recorded_any_more_are_counted_apart(order):
    forget_first_event(order)
    TAMPERED["status"](order)
    found = rebuild.compare_orders([order])
    assert (found.compared, found.untold, found.differences) == (0, 1, [])
    assert rebuild.repair(order) is None
    product = OrderItem.objects.filter(order=order).first().product_id
    forget_first_event(product)
    assert rebuild.compare_stock([product]).untold == 1


def test_an_erased_address_is_no_difference(order):
    Order.objects.get(pk=order).addresses.all().delete()
    assert rebuild.compare_orders([order]).differences == []


def test_stock_that_nobody_has_moved_is_named_and_stays(add_product):
    product = add_product(stock=5)
    Product.objects.filter(pk=product).update(stock=7)
    (difference,) = rebuild.compare_stock([product]).differences
    assert difference.fields == {"stock": (7, 5)} and str(product) in str(difference)
    with pytest.raises(CommandError, match="differ from their events"):
        run("--yes")
    assert Product.objects.get(pk=product).stock == 7
    Product.objects.filter(pk=product).update(stock=5)


def test_the_whole_shop_is_looked_through_in_batches(order, monkeypatch):
    monkeypatch.setattr(rebuild, "BATCH", 1)
    assert {order} < {pk for batch in rebuild.batches(Order) for pk in batch} | {UUID(int=0)}
    assert [len(batch) for batch in rebuild.batches(Product)] == [1] * Product.objects.count()


def test_an_order_that_is_not_there_is_named(order):
    with connections["default"].cursor() as cursor:
        cursor.execute("UPDATE cqrs_event SET aggregate_id = %s WHERE aggregate_id = %s", [MISSING, order])
        assert rebuild.missing_orders() == [MISSING]
        cursor.execute("UPDATE cqrs_event SET aggregate_id = %s WHERE aggregate_id = %s", [order, MISSING])
