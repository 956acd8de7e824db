"""What the gateway says by itself, through the gateway of the stack and, for the races, inside this process."""

import json
import secrets

import pytest

from orders.commands import StartPayment
from orders.models import Order, PaymentAttempt
from orders.payments import notices, sandbox
from orders.payments.asking import ask_due
from orders.payments.gateways import WrongSignature
from orders.tests.conftest import run_in
from orders.tests.test_orders_api import of, place
from socialapp.cqrs.execute import execute
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.problems import Problem
from socialapp.tests.client import Api

WEBHOOK = "/api/v1/payments/webhook"
ATTEMPT = """
import sys
import django; django.setup()
from orders.models import PaymentAttempt
print(PaymentAttempt.objects.get(order=sys.argv[1]).pk)
"""
SIGNED = """
import sys
import django; django.setup()
from orders.payments.sandbox import signature
print(signature(sys.argv[1].encode()))
"""


def signed(body: bytes) -> dict:
    return {"Sandbox-Signature": sandbox.signature(body)}


def tell(attempt_id, outcome: str, **more: str) -> None:
    body = json.dumps({"attempt": str(attempt_id), "outcome": outcome} | more).encode()
    notices.heed(body, signed(body))


def paid(order_id) -> tuple[str, str, str]:
    row = Order.objects.get(pk=order_id)
    return row.status, row.payment, PaymentAttempt.objects.get(order=order_id).state


@pytest.fixture
def attempt(no_other_attempts, add_product, place, settings) -> PaymentAttempt:  # noqa: F811
    """Of an order whose card times out, committed and not asked for."""
    settings.SANDBOX_WEBHOOK_SECRET = secrets.token_hex(16)
    order = place({add_product(stock=1): 1}, payment_token="timeout").resource_id
    execute(StartPayment(), actor_id=None, resource_id=order)
    return PaymentAttempt.objects.get(order=order)


@pytest.mark.parametrize(
    ("outcome", "becomes"),
    [("charged", ("paid", "paid", "charged")), ("declined", ("payment_failed", "declined", "declined"))],
)
def test_what_the_gateway_says_counts_however_often(attempt, outcome, becomes):
    for _ in range(2):
        tell(attempt.pk, outcome, reference="sandbox_1", reason="because")
    assert paid(attempt.order_id) == becomes and ask_due() == 0
    tell(attempt.pk, "declined" if outcome == "charged" else "unknown")
    assert paid(attempt.order_id) == becomes


def test_a_charge_is_found_by_its_reference_too(attempt):
    tell(attempt.pk, "charged", reference="sandbox_2")
    tell("", "refunded", reference="sandbox_2")
    assert paid(attempt.order_id) == ("paid", "refunded", "refunded")


def test_the_outcome_comes_first_and_the_answer_later(attempt):
    """A worker has asked, and the webhook overtakes its answer."""
    ask_due()
    tell(attempt.pk, "charged")
    PaymentAttempt.objects.filter(pk=attempt.pk).update(ask_at=attempt.ask_at)
    ask_due()
    assert paid(attempt.order_id) == ("paid", "paid", "charged")


@pytest.mark.parametrize("named", ["", "no-attempt", "01a21d53-0000-7000-8000-000000000001"])
def test_what_is_not_ours_is_let_pass(attempt, named):
    tell(named, "charged", reference="of nobody")
    assert paid(attempt.order_id) == ("pending", "under_way", "open")


def test_another_gateways_attempt_is_not_this_ones_to_tell_of(attempt):
    PaymentAttempt.objects.filter(pk=attempt.pk).update(gateway="stripe")
    tell(attempt.pk, "charged")
    assert paid(attempt.order_id) == ("pending", "under_way", "open")


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"{}", b'{"outcome": "paid"}', b'{"outcome": []}', b"null"])
def test_what_is_signed_and_no_message_is_a_problem(attempt, body):
    with pytest.raises(Problem):
        notices.heed(body, signed(body))


def test_without_a_secret_nobody_can_sign(attempt, settings):
    settings.SANDBOX_WEBHOOK_SECRET = ""
    with pytest.raises(WrongSignature):
        tell(attempt.pk, "charged")


@pytest.fixture
def webhook(stack, stack_url):
    """webhook(document) sends it signed; more headers replace these."""

    def send(document: dict, **headers: str):
        body = json.dumps(document).encode()
        signature = run_in(stack, SIGNED, body.decode()).strip()
        return Api(stack_url).request("POST", WEBHOOK, body, **{"sandbox_signature": signature} | headers)

    return send


def test_the_webhook_pays_an_order(stack, user, shelve, webhook, eventually):
    order = place(user, {shelve({})[0]: 1}, payment_method={"type": "card", "token": "timeout"}).json()
    eventually(lambda: user.get(of(order)).json()["payment"]["status"] == "unknown")
    attempt_id = run_in(stack, ATTEMPT, order["id"]).strip()
    answers = [webhook({"attempt": attempt_id, "outcome": "charged"}) for _ in range(2)]
    assert [(answer.status, answer.json()) for answer in answers] == [(200, {"received": True})] * 2
    eventually(lambda: user.get(of(order)).json()["status"] == "paid")


def test_only_who_can_sign_is_heard(webhook, stack_url, user):
    told = {"attempt": str(new_id()), "outcome": "charged"}
    for signature in ("", "00", "é", "f" * 64):
        wrong = webhook(told, sandbox_signature=signature)
        assert (wrong.status, wrong.json()["code"]) == (400, "wrong_signature")
    assert user.post(WEBHOOK, told).status == 400, "being somebody does not help"
    assert Api(stack_url).request("POST", WEBHOOK, b"x" * (1024 * 1024 + 1)).status == 413
    assert Api(stack_url).get(WEBHOOK).status == 405
    # No session and no form: nobody's browser is asked for a CSRF token.
    assert webhook(told, cookie="sessionid=x", content_type="text/plain").status == 200
