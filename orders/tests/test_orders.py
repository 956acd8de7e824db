"""Placing, changing and cancelling inside this process, on the real primary."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from decimal import Decimal

import pytest
from django.db import connections
from django.db.backends.utils import CursorWrapper
from django.utils.timezone import now
from hypothesis import given
from hypothesis import strategies as st

from orders.commands import AddAddress, CancelOrder, ChangeOrder, EditProduct, PlaceOrder
from orders.documents import order_document, order_fragment
from orders.lines import Line, total_of
from orders.models import Order, OrderAddress, OrderItem, Payment, Product, Status
from orders.queries import get_orders
from socialapp.cqrs import events, statements
from socialapp.cqrs.execute import execute, execute_batch
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.problems import IdempotencyKeyReused, Problem

pytestmark = pytest.mark.usefixtures("clean_stores")


def stock_of(*products) -> list[int]:
    return [Product.objects.get(pk=product).stock for product in products]


def shown(order_id) -> dict:
    (row,) = get_orders([order_id], "default")
    return order_document(row)


def change(order_id, author, **fields):
    return execute(ChangeOrder(**fields), actor_id=author, resource_id=order_id)


def cancel(order_id, author, **fields):
    return execute(CancelOrder("by the customer", **fields), actor_id=author, resource_id=order_id)


def item(product, quantity) -> tuple[str]:
    return (f"{product} {quantity}",)


def refused(code: str, call, *args, **kwargs) -> Problem:
    with pytest.raises(Problem) as caught:
        call(*args, **kwargs)
    assert caught.value.code == code
    return caught.value


def told(aggregate_id) -> list[str]:
    return [type(one.event).__name__ for one in events.read("aggregate_id = %s", [aggregate_id])]


def test_an_order_takes_stock_and_keeps_the_prices_of_its_time(add_product, place):
    tea, cup = add_product(price="3.35", stock=10, name="Tea"), add_product(price="12", stock=4, name="Cup")
    order = place({tea: 3, cup: 1}).resource_id
    row = Product.objects.get(pk=tea)
    execute(EditProduct(row.sku, "Better tea", "9.99", "EUR"), actor_id=None, resource_id=tea)
    found = shown(order)
    assert stock_of(tea, cup) == [7, 3]
    assert (found["status"], found["total"]) == ("pending", {"amount": "22.05", "currency": "EUR"})
    lines = {line["name"]: (line["quantity"], line["unit_price"]["amount"]) for line in found["items"]}
    assert lines == {"Tea": (3, "3.35"), "Cup": (1, "12.00")}
    assert found["number"] > 1000 and found["version"] == 1
    assert told(order) == ["OrderPlaced"] and told(tea) == ["ProductAdded", "StockTaken", "ProductEdited"]


@pytest.fixture
def trips(monkeypatch) -> list[list[str]]:
    """What the trips to the primary have carried: the first words of their statements."""
    found = []
    pipeline, run = statements.pipeline, CursorWrapper.execute

    @contextmanager
    def one_trip():
        with pipeline():
            found.append([])
            yield
            found.append(None)

    def execute(self, query, params=None):
        if found[-1:] in ([], [None]):
            found.append([])
        result = run(self, query, params)
        found[-1].append(" ".join(query.split()[:3]))
        return result

    monkeypatch.setattr(statements, "pipeline", one_trip)
    monkeypatch.setattr(CursorWrapper, "execute", execute)
    return found


def test_an_order_takes_two_trips(add_product, place, trips):
    tea = add_product(stock=3)
    # The cache has just been emptied: the first that invalidates anything asks the primary where it is.
    place({tea: 1})
    trips.clear()
    place({tea: 1})
    claim, write, *more = [trip for trip in trips if trip]
    assert [words.split()[0] for words in claim] == ["WITH", "SELECT"]
    assert [words.split()[0] for words in write] == ["WITH", "INSERT", "COMMIT", "SELECT"] and not more


def test_several_orders_of_one_transaction_see_what_each_other_takes(add_product, author):
    tea = add_product(stock=2)
    orders = {new_id(): PlaceOrder(item(tea, 1), "sandbox", "approve") for _ in range(3)}
    problems, _ = execute_batch(orders, actor_id=author)
    assert [problem.code for problem in problems.values()] == ["out_of_stock"] and stock_of(tea) == [0]
    assert Order.objects.filter(pk__in=orders).count() == 2


def test_lines_of_one_product_are_merged(add_product, author, place):
    tea = add_product(stock=10)
    order = place({}, items=(f"{tea} 2", f"{tea} 3")).resource_id
    assert [line["quantity"] for line in shown(order)["items"]] == [5] and stock_of(tea) == [5]
    refused("invalid", place, {}, items=(f"{tea} 60", f"{tea} 60"))


def test_what_is_not_there_is_named_and_nothing_changes(add_product, place):
    tea, cup, pot = add_product(stock=10, name="Tea"), add_product(stock=1, name="Cup"), add_product(name="Pot")
    problem = refused("out_of_stock", place, {tea: 2, cup: 2, pot: 1})
    assert problem.status == 409
    assert {error["product_id"]: error["available"] for error in problem.errors} == {str(cup): 1, str(pot): 0}
    assert "2 of Cup are wanted, there are 1" in problem.detail
    assert stock_of(tea, cup, pot) == [10, 1, 0] and not OrderItem.objects.filter(product__in=[tea, cup]).exists()


def test_what_cannot_be_ordered_is_refused(add_product, place, author):
    tea = add_product(stock=99)
    refused("invalid", place, {new_id(): 1})
    refused("invalid", place, {tea: 1, add_product(stock=1, currency="USD"): 1})
    refused("invalid", place, {add_product(stock=1, is_sold=False): 1})
    refused("invalid", place, {tea: 1}, address_id=str(new_id()))
    refused("invalid", place, {tea: 99, add_product(stock=99, price="9999999999.99"): 99})
    assert stock_of(tea) == [99]


def test_a_repeated_key_is_the_same_order_and_also_the_same_refusal(add_product, place):
    tea = add_product(stock=3)
    first, again = place({tea: 2}, key="k-1"), place({tea: 2}, key="k-1")
    assert again.replayed and again.resource_id == first.resource_id and stock_of(tea) == [1]
    refused("out_of_stock", place, {tea: 2}, key="k-2")
    with pytest.raises(IdempotencyKeyReused):
        execute(ChangeOrder(), actor_id=Order.objects.get(pk=first.resource_id).user_id, idempotency_key="k-1")


def test_a_repeat_does_not_wait_for_the_stock_and_draws_no_number(add_product, place):
    tea = add_product(stock=3)
    first = place({tea: 1}, key="once").resource_id
    with closing(connections.create_connection("default")) as other:
        other.set_autocommit(False)
        other.cursor().execute("SELECT FROM orders_product WHERE id = %s FOR UPDATE", [tea])
        connections["default"].cursor().execute("SET lock_timeout = 50")
        assert [place({tea: 1}, key="once").resource_id for _ in range(3)] == [first] * 3
    assert shown(place({tea: 1}).resource_id)["number"] == shown(first)["number"] + 1
    connections["default"].close()


def test_many_at_once_sell_what_there_is_and_no_more(add_product, place):
    """Two products in the order of whim: rows are locked in one order, so nobody deadlocks."""
    products = [add_product(stock=20), add_product(stock=20)]

    def buy(number: int) -> str:
        try:
            place(dict.fromkeys(random.sample(products, 2), 1))
        except Problem as problem:
            return problem.code
        finally:
            connections.close_all()
        return "sold"

    with ThreadPoolExecutor(8) as pool:
        outcomes = Counter(pool.map(buy, range(60)))
    assert outcomes == {"sold": 20, "out_of_stock": 40} and stock_of(*products) == [0, 0]


def test_items_change_by_their_difference(add_product, author, place):
    tea, cup, pot = add_product(stock=10, price="1"), add_product(stock=5, price="2"), add_product(stock=1, price="5")
    order = place({tea: 4, cup: 2}).resource_id
    change(order, author, items=(f"{tea} 1", f"{pot} 1"))
    assert stock_of(tea, cup, pot) == [9, 5, 0]
    assert (shown(order)["total"]["amount"], shown(order)["version"]) == ("6.00", 2)
    # All of the stock that there is, with what the order has already.
    change(order, author, items=item(tea, 10))
    assert stock_of(tea, cup, pot) == [0, 5, 1]
    refused("out_of_stock", change, order, author, items=item(tea, 11))
    assert stock_of(tea) == [0] and shown(order)["version"] == 3


def test_a_cancelled_order_gives_its_stock_back_once(add_product, author, place):
    tea = add_product(stock=10)
    order = place({tea: 4}).resource_id
    cancel(order, author)
    assert stock_of(tea) == [10]
    assert (shown(order)["status"], shown(order)["payment"]["status"]) == ("cancelled", "void")
    assert refused("invalid_transition", cancel, order, author).status == 409
    refused("invalid_transition", change, order, author, items=item(tea, 1))
    assert stock_of(tea) == [10] and told(tea) == ["ProductAdded", "StockTaken", "StockReturned"]


def test_somebody_elses_order_is_not_there_but_for_staff(add_product, author, place):
    order = place({add_product(stock=1): 1}).resource_id
    for attempt in (cancel, change):
        assert refused("not_found", attempt, order, new_id()).status == 404
    assert refused("not_found", cancel, new_id(), author).status == 404
    cancel(order, new_id(), as_staff=True)
    assert shown(order)["status"] == "cancelled"


def test_a_stale_version_is_refused(add_product, author, place):
    tea = add_product(stock=10)
    order = place({tea: 1}).resource_id
    change(order, author, items=item(tea, 2), expected_version=1)
    assert refused("stale", change, order, author, items=item(tea, 3), expected_version=1).status == 412
    assert refused("stale", cancel, order, author, expected_version=1).status == 412
    cancel(order, author, expected_version=2)


def test_only_staff_says_what_was_shipped_and_nobody_what_was_paid(add_product, author, place):
    order = place({add_product(stock=1): 1}).resource_id
    refused("forbidden", change, order, author, status="shipped")
    refused("invalid_transition", change, order, author, status="paid", as_staff=True)
    refused("invalid_transition", change, order, author, status="shipped", as_staff=True)
    Order.objects.filter(pk=order).update(status=Status.PAID, payment=Payment.PAID)
    change(order, author, status="shipped", as_staff=True)
    refused("invalid_transition", cancel, order, author)
    change(order, author, status="delivered", as_staff=True)
    assert shown(order)["status"] == "delivered"
    assert told(order) == ["OrderPlaced", "OrderShipped", "OrderDelivered"]


def test_a_change_that_is_refused_halfway_leaves_nothing(add_product, author, place):
    tea = add_product(stock=10)
    order = place({tea: 1}).resource_id
    refused("forbidden", change, order, author, items=item(tea, 5), status="shipped")
    assert stock_of(tea) == [9] and shown(order)["version"] == 1 and told(order) == ["OrderPlaced"]


@pytest.mark.parametrize("payment", [Payment.UNDER_WAY, Payment.UNKNOWN])
def test_while_a_payment_is_under_way_items_stay_but_a_cancel_is_taken(add_product, author, place, payment):
    tea = add_product(stock=10)
    order = place({tea: 1}).resource_id
    Order.objects.filter(pk=order).update(payment=payment)
    refused("payment_in_progress", change, order, author, items=item(tea, 2))
    cancel(order, author)
    assert (shown(order)["status"], shown(order)["payment"]["status"]) == ("cancelled", payment)


prices = st.decimals(min_value=0, max_value=99_999, places=2)


@given(st.lists(st.tuples(st.integers(1, 99), prices), min_size=1, max_size=20))
def test_sums_are_exact(parts):
    """Against whole cents: what a float would get wrong shows here."""
    lines = [Line(new_id(), quantity, price, "SKU", "A thing") for quantity, price in parts]
    cents = sum(quantity * int(price.scaleb(2)) for quantity, price in parts)
    assert total_of(lines) == Decimal(cents).scaleb(-2)
    assert [Line.decode(line.encode()) for line in lines] == lines


def test_an_order_is_held_for_a_while(add_product, place, settings):
    order = Order.objects.get(pk=place({add_product(stock=1): 1}).resource_id)
    assert order.held_until - order.created_at == settings.ORDER_HOLD and order.held_until > now()


def test_a_change_is_answered_with_what_it_made_of_the_order(add_product, author, place):
    """By the ETag under which it is read. To read it for the answer would show what another change made of it."""
    tea, cup = add_product(stock=9), add_product(stock=9)
    order = place({tea: 2}).resource_id
    home = execute(AddAddress(name="Ada", line1="1 Byron Row", city="London", country="GB"), actor_id=author)
    changes = [{"items": (f"{cup} 1", f"{tea} 3")}, {"address_id": str(home.resource_id)}, {"expected_version": 3}]
    for fields in changes:
        executed = change(order, author, **fields)
        (row,) = get_orders([order], "default")
        assert order_fragment(executed.answer) == order_fragment(row), fields
    executed = cancel(order, author)
    (row,) = get_orders([order], "default")
    assert row["status"] == "cancelled" and order_fragment(executed.answer) == order_fragment(row)


def test_an_order_keeps_its_address_and_events_do_not_tell_it(add_product, author, place):
    product = add_product(stock=2)
    fields = {"name": "Ada", "line1": "1 Byron Row", "city": "London", "country": "GB"}
    address = execute(AddAddress(**fields), actor_id=author).resource_id
    placed = place({product: 1}, address_id=str(address))
    order = placed.resource_id
    (row,) = get_orders([order], "default")
    assert order_fragment(placed.answer) == order_fragment(row), "its ETag is the one that it is read under"
    moved = execute(AddAddress(**fields | {"line1": "2 Byron Row"}), actor_id=author).resource_id
    change(order, author, address_id=str(moved))
    assert shown(order)["address"]["line1"] == "2 Byron Row" and "id" not in shown(order)["address"]
    history = events.read("aggregate_id = %s", [order])
    kept = [OrderAddress.objects.get(pk=one.event.address_id).address["line1"] for one in history]
    assert kept == ["1 Byron Row", "2 Byron Row"] and "Byron" not in repr(history)
    refused("invalid", change, order, author, address_id=str(new_id()))
