"""The history of orders: complete, a pure fold, and told to nobody else."""

from dataclasses import fields, replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from orders.commands import AddAddress, CancelOrder, ChangeOrder
from orders.events import ORDER_EVENTS, CategorySaved, OrderPlaced
from orders.history import NotFoldable, State, fold, state_after
from orders.lines import Line
from orders.models import Order, Status
from orders.tests.moves import become
from socialapp.cqrs import events
from socialapp.cqrs.execute import execute
from socialapp.cqrs.ids import new_id

LINE = Line(UUID(int=1), 2, Decimal("3.35"), "TEA", "Tea of the house")
PLACED = OrderPlaced("o", "u", 1001, (LINE.encode(),), "6.70", "EUR", "", "pending", "due")


def example_of(kind: type) -> object:
    """An event with something in each field."""
    known = {"items": (LINE.encode(),), "total": "6.70", "number": 1001}
    return kind(**{field.name: known.get(field.name, field.name) for field in fields(kind)})


@pytest.mark.parametrize("kind", ORDER_EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_of_an_order_is_folded_with_all_that_it_tells(kind):
    before = None if kind is OrderPlaced else fold(None, PLACED, 1)
    after = fold(before, example_of(kind), 2)
    told = {field.name for field in fields(kind)} & {field.name for field in fields(State)}
    expected = {"items": (LINE,), "total": Decimal("6.70"), "number": 1001}
    for name in told - {"order_id", "user_id"}:
        assert getattr(after, name) == expected.get(name, name)
    assert after.version == 2


def test_all_events_about_orders_are_among_them():
    assert {declared.cls for declared in events.all_types() if declared.aggregate == "order"} == set(ORDER_EVENTS)


def test_what_is_no_history_is_not_folded():
    paid = example_of(ORDER_EVENTS[3])
    for state, event in (
        (None, paid),
        (fold(None, PLACED, 1), PLACED),
        (fold(None, PLACED, 1), example_of(CategorySaved)),
    ):
        with pytest.raises(NotFoldable):
            fold(state, event, 2)


def test_a_gap_is_noticed(place, add_product):
    order = place({add_product(stock=5): 1}).resource_id
    become(order, Status.PAID)
    recorded = list(events.history([order]))
    assert state_after(recorded).status == "paid" and state_after([]) is None
    for some in (recorded[1:], [recorded[0], replace(recorded[1], aggregate_version=3)]):
        with pytest.raises(NotFoldable):
            state_after(some)


def test_an_order_is_what_its_events_make_of_it(place, add_product, author):
    tea, cup = add_product(name="Tea", price="3.35", stock=9), add_product(name="Cup", price="12", stock=9)
    home = execute(AddAddress("Ann", "Lane 1", "Town", "DE"), actor_id=author).resource_id
    order = place({tea: 2}).resource_id
    change = {"actor_id": author, "resource_id": order}
    execute(ChangeOrder(items=(f"{cup} 1", f"{tea} 1"), address_id=str(home)), **change)
    become(order, Status.PAID)
    execute(CancelOrder("changed my mind"), **change)
    recorded = list(events.history([order]))
    assert [one.aggregate_version for one in recorded] == [1, 2, 3, 4, 5]
    state, row = state_after(recorded), Order.objects.get(pk=order)
    assert (state.status, state.payment, state.total) == ("cancelled", "refunding", Decimal("15.35"))
    assert (row.status, row.payment, row.total, row.version) == (state.status, state.payment, state.total, 5)
    assert set(state.items) == {Line.of(item) for item in row.items.all()}
    assert row.addresses.get(pk=state.address).address == row.address
    then = state_after(recorded[:1])
    assert (then.status, then.total, then.address) == ("pending", Decimal("6.70"), "")


def test_history_is_read_in_batches_of_all_that_are_asked_for(place, add_product, monkeypatch):
    monkeypatch.setattr(events, "BATCH", 2)
    tea = add_product(stock=9)
    orders = sorted(place({tea: 1}).resource_id for _ in range(3))
    become(orders[0], Status.PAID)
    read = [(one.aggregate_id, one.aggregate_version) for one in events.history([*orders, new_id()])]
    assert read == [(orders[0], 1), (orders[0], 2), (orders[1], 1), (orders[2], 1)]
    times = [one.time for one in events.history(orders[:1])]
    assert times[1] - times[0] < timedelta(minutes=1)


def test_a_history_is_read_along_the_versions_of_each_partition(planned):
    plan = planned(lambda: list(events.history([new_id(), new_id()])))
    scans = [line for line in plan.splitlines() if " Scan " in line]
    assert scans and all("_version" in line for line in scans), plan
