"""Orders that nobody paid in time, inside this process."""

from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.utils.timezone import now

from orders.commands import ExpireOrder, StartPayment
from orders.models import Order, PaymentAttempt, Product, SandboxCharge
from orders.payments import carrying_out, expiry
from orders.payments.asking import ask_due
from socialapp.cqrs import events
from socialapp.cqrs.execute import execute
from socialapp.cqrs.problems import Problem, Unavailable

pytestmark = pytest.mark.usefixtures("no_other_attempts")


@pytest.fixture
def tea(add_product):
    return add_product(stock=10)


@pytest.fixture
def expired(tea, place):
    """expired(card) places an order for one tea whose time is over; with a card, one whose payment had begun."""

    def placed(card: str = ""):
        order_id = place({tea: 1}, payment_token=card or "approve").resource_id
        if card:
            execute(StartPayment(), actor_id=None, resource_id=order_id)
            ask_due()
        Order.objects.filter(pk=order_id).update(held_until=now() - timedelta(seconds=1))
        return order_id

    return placed


def shown(order_id) -> tuple[str, str]:
    row = Order.objects.get(pk=order_id)
    return row.status, row.payment


def test_an_order_that_is_not_paid_in_time_gives_its_stock_back(expired, tea):
    order = expired()
    assert expiry.expire_due() >= 1
    assert shown(order) == ("cancelled", "void") and Product.objects.get(pk=tea).stock == 10
    last = events.read("aggregate_id = %s", [order])[-1].event
    assert (type(last).__name__, last.reason) == ("OrderCancelled", "not paid in time")
    assert expiry.expire_due() == 0


def test_who_has_time_left_keeps_it(tea, place):
    order = place({tea: 1}).resource_id
    expiry.expire_due()
    with pytest.raises(Problem, match="time left"):
        execute(ExpireOrder(), actor_id=None, resource_id=order)
    assert shown(order) == ("pending", "due")


def test_what_is_paid_does_not_expire(expired):
    order = expired("approve")
    expiry.expire_due()
    assert shown(order) == ("paid", "paid")


def test_a_charge_that_comes_after_the_end_goes_back(expired, tea):
    order = expired("timeout")
    expiry.expire_due()
    assert shown(order) == ("cancelled", "unknown") and Product.objects.get(pk=tea).stock == 10
    for _ in range(3):
        PaymentAttempt.objects.filter(ask_at__isnull=False).update(ask_at=now())
        ask_due()
    assert shown(order) == ("cancelled", "refunded") and SandboxCharge.objects.get().refunded_at


def test_more_than_a_batch_expires_in_the_end(expired, monkeypatch):
    monkeypatch.setattr(expiry, "BATCH", 2)
    orders = [expired() for _ in range(3)]
    while expiry.expire_due():
        pass
    assert [shown(order)[0] for order in orders] == ["cancelled"] * 3


DUE = {
    "orders_that_expire": "SELECT id FROM orders_order WHERE status = 'pending' AND held_until <= now() "
    "ORDER BY held_until LIMIT 200",
    "attempts_to_ask": "SELECT id FROM orders_paymentattempt WHERE state IN ('open', 'unknown', 'refunding') "
    "AND ask_at <= now() ORDER BY ask_at LIMIT 8",
}


@pytest.mark.parametrize("index", DUE)
def test_what_is_due_is_found_by_an_index(servers, index):
    """However many orders there have been. Of a few rows the planner may sort what another index finds."""
    with transaction.atomic(), connections["default"].cursor() as cursor:
        for other in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET LOCAL enable_{other} = off")
        cursor.execute(f"EXPLAIN {DUE[index]}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert index in plan and "Sort" not in plan, plan


def test_what_could_not_be_carried_out_is_not_taken_for_done(expired, monkeypatch):
    def refuse(*_, **__):
        raise Unavailable("Not now.")

    monkeypatch.setattr(carrying_out, "execute", refuse)
    with pytest.raises(Unavailable):
        carrying_out.carried_out(ExpireOrder(), expired())
