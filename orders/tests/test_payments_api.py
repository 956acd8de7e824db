"""Paying on the whole stack: an order is placed, and what becomes of it is seen by whoever asks."""

import json

import pytest

from orders.tests.conftest import run_in
from orders.tests.test_orders_api import of, place
from socialapp.tests.client import Api
from socialapp.tests.http.browser import Browser

LEDGER = """
import json, sys
import django; django.setup()
from orders.models import PaymentAttempt, SandboxCharge
keys = PaymentAttempt.objects.filter(order=sys.argv[1]).values("pk")
kept = SandboxCharge.objects.filter(pk__in=keys, is_charged=True)
print(json.dumps([[str(one.amount), one.refunded_at is not None] for one in kept]))
"""


ATTEMPT = """
import sys
import django; django.setup()
from orders.models import PaymentAttempt
attempt = PaymentAttempt.objects.get(order=sys.argv[1])
print(attempt.pk, attempt.asked)
"""

OVERDUE = """
import sys
import django; django.setup()
from datetime import timedelta
from django.utils.timezone import now
from orders.models import Order
Order.objects.filter(pk=sys.argv[1]).update(held_until=now() - timedelta(seconds=1))
"""


def ledger(stack, order: dict) -> list:
    """What the sandbox has charged for an order: [amount, whether it went back]"""
    return json.loads(run_in(stack, LEDGER, order["id"]))


@pytest.fixture
def tea(shelve) -> str:
    return shelve({"name": "Tea", "price": "3.35"})[0]


def stock(api, product: str) -> int:
    return api.get(f"/api/v1/products/{product}").json()["stock"]


def card(token: str) -> dict:
    return {"type": "card", "token": token}


def test_an_order_is_paid_and_when_cancelled_refunded(stack, user, tea, eventually):
    order = place(user, {tea: 2}).json()
    eventually(lambda: user.get(of(order)).json()["status"] == "paid")
    assert ledger(stack, order) == [["6.70", False]]
    cancelled = user.delete(of(order))
    assert (cancelled.status, cancelled.json()["payment"]["status"]) == (200, "refunding")
    eventually(lambda: user.get(of(order)).json()["payment"]["status"] == "refunded")
    assert user.get(of(order)).json()["status"] == "cancelled" and ledger(stack, order) == [["6.70", True]]
    assert stock(user, tea) == 10


def test_a_declined_card_fails_the_order_and_returns_its_stock(stack, user, tea, eventually):
    order = place(user, {tea: 2}, payment_method=card("decline")).json()
    eventually(lambda: user.get(of(order)).json()["status"] == "payment_failed")
    assert user.get(of(order)).json()["payment"]["status"] == "declined" and ledger(stack, order) == []
    eventually(lambda: stock(user, tea) == 10)
    late = user.delete(of(order))
    assert (late.status, late.json()["code"]) == (409, "invalid_transition")


def test_what_is_being_paid_does_not_change_but_can_be_cancelled(user, tea, eventually):
    order = place(user, {tea: 2}, payment_method=card("timeout")).json()
    eventually(lambda: user.get(of(order)).json()["payment"]["status"] == "unknown")
    refused = user.put(of(order), {"items": [{"product_id": tea, "quantity": 1}]})
    assert (refused.status, refused.json()["code"]) == (409, "payment_in_progress")
    assert user.delete(of(order)).json()["status"] == "cancelled"


def test_what_is_not_paid_in_time_is_cancelled(stack, user, tea, eventually):
    order = place(user, {tea: 2}, payment_method=card("timeout")).json()
    run_in(stack, OVERDUE, order["id"])
    eventually(lambda: user.get(of(order)).json()["status"] == "cancelled")
    eventually(lambda: stock(user, tea) == 10)


def test_a_token_is_shown_to_nobody(stack, user, staff, tea, eventually):
    token = "tok_that_nobody_sees"
    order = place(user, {tea: 1}, payment_method=card(token))
    eventually(lambda: user.get(of(order.json())).json()["status"] == "payment_failed")
    shown = order.body + user.get(of(order.json())).body + staff.get(of(order.json())).body
    logs = b"".join(path.read_bytes() for path in stack.layout.log.glob("*.log"))
    assert token.encode() not in shown and token.encode() not in logs
    assert b"gunicorn" in logs, "these are the logs"


def test_an_operator_has_the_gateway_asked_again(stack, stack_url, user, staff, tea, eventually):
    """At the third question the sandbox's slow card has been charged."""
    order = place(user, {tea: 1}, payment_method=card("timeout")).json()
    operator = Browser(Api(stack_url))
    assert operator.log_in(staff.username, page="/admin/login/").status == 302
    eventually(lambda: user.get(of(order)).json()["payment"]["status"] == "unknown")
    for asked in ("1", "2"):
        eventually(lambda asked=asked: run_in(stack, ATTEMPT, order["id"]).split()[1] == asked)
        attempt_id = run_in(stack, ATTEMPT, order["id"]).split()[0]
        page = "/admin/orders/paymentattempt/"
        assert operator.submit(page, {"action": "ask_again", "_selected_action": attempt_id}).status == 302
    eventually(lambda: user.get(of(order)).json()["status"] == "paid")
    assert operator.submit(page, {"action": "ask_again", "_selected_action": attempt_id}).status == 302
    assert b"The outcome of this attempt is known." in operator.get(page).body
    shown = operator.get(f"{page}{attempt_id}/change/").body
    assert attempt_id.encode() in shown and b"token" not in shown.replace(b"csrfmiddlewaretoken", b"")
