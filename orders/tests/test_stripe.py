"""The Stripe gateway against a local double that speaks Stripe's protocol; Stripe's own package in between."""

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
import stripe
from django.utils.timezone import now

from orders.commands import CancelOrder, StartPayment
from orders.models import Order, PaymentAttempt
from orders.payments import gateways
from orders.payments.asking import ask_due, breaker
from orders.payments.gateways import Charge, Kind, WrongSignature
from orders.payments.minor_units import NoSuchAmount, minor_units
from orders.payments.stripe_gateway import StripeGateway
from orders.tests import stripe_double
from socialapp.cqrs.execute import execute
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.problems import Problem
from socialapp.tests import crashes

SECRET = "whsec_of_these_tests"


@pytest.fixture
def double():
    with stripe_double.running() as server:
        yield server


@pytest.fixture
def gateway(double) -> StripeGateway:
    return StripeGateway("sk_test_x", double.url, timeout=(0.5, stripe_double.SLOW / 2))


def charge(card: str = "pm_card_visa", **fields) -> Charge:
    about = {"amount": Decimal("12.50"), "currency": "EUR", "reference": "", "asked": 1, "created_at": now()}
    return Charge(id=new_id(), order_id=new_id(), token=card, **about | fields)


def again(one: Charge, **fields) -> Charge:
    return replace(one, asked=one.asked + 1, **fields)


def test_a_charge_as_stripe_wants_it(gateway, double):
    one = charge()
    outcome = gateway.charge(one)
    assert (outcome.kind, outcome.reached) == (Kind.CHARGED, True) and outcome.reference in double.intents
    (called, key, fields), *others = double.requests
    assert (called, key, others) == ("POST /v1/payment_intents", str(one.id), [])
    assert (fields["amount"], fields["currency"], fields["payment_method"]) == ("1250", "eur", "pm_card_visa")
    assert (fields["confirm"], fields["metadata[attempt]"]) == ("true", str(one.id))


def test_the_same_attempt_is_charged_once(gateway, double):
    one = charge()
    assert gateway.charge(one) == gateway.charge(again(one)) and double.charged() == [(1250, "eur")]


def test_a_declined_card_is_declined_in_stripes_words(gateway, double):
    outcome = gateway.charge(charge("pm_card_chargeDeclined"))
    assert (outcome.kind, outcome.reason, outcome.reached) == (Kind.DECLINED, "Your card was declined.", True)
    assert outcome.reference in double.intents and double.charged() == []


def test_a_token_that_stripe_does_not_know_is_declined_and_not_repeated(gateway, caplog):
    outcome = gateway.charge(charge("pm_unknown"))
    assert outcome.kind == Kind.DECLINED and "pm_unknown" not in outcome.reason
    assert "pm_unknown" not in caplog.text


def test_a_request_that_stripe_does_not_understand_is_no_fault_of_the_order(gateway):
    outcome = gateway.charge(charge(currency="XXX"))
    assert (outcome.kind, outcome.reached) == (Kind.UNKNOWN, True)


@pytest.mark.parametrize("token", ["pm_slow", "pm_drops"])
def test_no_answer_is_unknown_and_the_repeat_finds_the_charge(gateway, double, token, monkeypatch):
    one = charge(token)
    lost = gateway.charge(one)
    assert (lost.kind, lost.reached) == (Kind.UNKNOWN, False) and len(double.requests) == 1, "no hidden repeat"
    monkeypatch.setattr(stripe_double, "SLOW", 0)
    found = gateway.charge(again(one, token="pm_slow"))
    assert found.kind == Kind.CHARGED and double.charged() == [(1250, "eur")]


def test_a_500_is_kept_under_the_key_and_a_search_finds_the_charge(gateway, double):
    one = charge("pm_breaks")
    assert gateway.charge(one).kind == Kind.UNKNOWN
    assert gateway.charge(again(one)).kind == Kind.CHARGED
    assert [called for called, *_ in double.requests][-1] == "GET /v1/payment_intents/search"
    assert double.charged() == [(1250, "eur")]


INSTEAD = {
    "a rate limit": (429, "rate_limit", False),
    "a wrong key": (401, None, False),
    "a gateway in between": (503, None, False),
    "the same key at the same time": (409, "idempotency_key_in_use", True),
}


@pytest.mark.parametrize("case", INSTEAD)
def test_what_says_nothing_about_the_order_is_unknown(gateway, double, case):
    status, code, reached = INSTEAD[case]
    double.instead = [(status, stripe_double.problem("api_error", code, "sk_test_x is wrong"))]
    outcome = gateway.charge(charge())
    assert (outcome.kind, outcome.reached) == (Kind.UNKNOWN, reached) and "sk_test" not in outcome.reason


def test_nobody_there_is_unknown():
    gateway = StripeGateway("sk_test_x", "http://127.0.0.1:9", timeout=(0.5, 0.5))
    for outcome in (gateway.charge(charge()), gateway.refund(charge(reference="pi_1"))):
        assert (outcome.kind, outcome.reached) == (Kind.UNKNOWN, False)


@pytest.mark.parametrize("token", ["pm_slow", None])
def test_after_a_day_the_key_is_forgotten_and_nothing_is_charged_again(gateway, double, token):
    old = charge(token or "pm_card_visa", created_at=now() - timedelta(hours=30), asked=20)
    if token:
        gateway.charge(replace(old, created_at=now()))
    double.forget_keys()
    outcome = gateway.charge(old)
    assert outcome.kind == (Kind.CHARGED if token else Kind.DECLINED)
    assert len(double.charged()) == (1 if token else 0)


CHARGE = """
import datetime
from decimal import Decimal
from uuid import UUID
from orders.payments.gateways import Charge
from orders.payments.stripe_gateway import StripeGateway
from socialapp.cqrs import servers
servers.look("default")
created = datetime.datetime.fromisoformat("{created}")
one = Charge(UUID("{id}"), UUID("{id}"), Decimal("12.50"), "EUR", "", {asked}, created, "pm_card_visa")
print(StripeGateway("sk_test_x", "{url}").charge(one).kind)
"""


def charged_by_a_worker(one: Charge, double, *, days: int) -> str:
    """What a worker says whose clock is so many days ahead."""
    about = {"created": one.created_at.isoformat(), "id": one.id, "asked": one.asked, "url": double.url}
    return crashes.run(CHARGE.format(**about), before=crashes.CLOCK_OFF.format(by=days * 86400)).strip()


@pytest.mark.usefixtures("servers")
def test_a_worker_with_a_wrong_clock_declines_nobody_and_charges_nobody_twice(double, gateway):
    assert charged_by_a_worker(charge(), double, days=2) == "charged"
    old = charge(created_at=now() - timedelta(hours=30))
    gateway.charge(replace(old, created_at=now()))
    double.forget_keys()
    assert charged_by_a_worker(again(old), double, days=-2) == "charged"
    assert double.charged() == [(1250, "eur")] * 2


def test_what_is_processing_is_looked_at_again(gateway, double):
    one = charge("pm_processing")
    first = gateway.charge(one)
    assert first.kind == Kind.UNKNOWN and first.reference
    double.intents[first.reference]["status"] = "succeeded"
    assert gateway.charge(again(one, reference=first.reference)).kind == Kind.CHARGED


def test_a_refund_is_made_once(gateway, double):
    one = charge()
    paid = replace(one, reference=gateway.charge(one).reference)
    assert gateway.refund(paid).kind == Kind.REFUNDED
    # Repeated, and repeated when the key is forgotten.
    assert gateway.refund(again(paid)).kind == Kind.REFUNDED
    double.forget_keys()
    assert gateway.refund(again(paid)).kind == gateway.refund(replace(paid, asked=9)).kind == Kind.REFUNDED
    assert [refund["amount"] for refund in double.refunds] == [1250]


def test_a_refund_that_is_pending_or_has_failed_is_still_owed(gateway, double):
    one = charge()
    paid = again(one, reference=gateway.charge(one).reference)
    double.refund_status = "pending"
    assert gateway.refund(replace(paid, asked=1)).kind == Kind.UNKNOWN
    assert gateway.refund(replace(paid, asked=2)).kind == Kind.UNKNOWN and len(double.refunds) == 1
    double.refunds[0]["status"] = "failed"
    double.refund_status = "succeeded"
    assert gateway.refund(replace(paid, asked=3)).kind == Kind.REFUNDED and len(double.refunds) == 2
    double.instead = [(402, stripe_double.problem("card_error", "card_declined", "No."))]
    assert gateway.refund(replace(paid, asked=1)).kind == Kind.UNKNOWN


def test_orders_are_paid_and_refunded_by_stripe(
    gateway, double, settings, monkeypatch, no_other_attempts, add_product, place
):
    settings.PAYMENT_GATEWAY = "stripe"
    monkeypatch.setattr(gateways, "named", {"stripe": gateway}.__getitem__)
    order = place({add_product(stock=1): 1}, payment_token="pm_breaks").resource_id
    execute(StartPayment(), actor_id=None, resource_id=order)
    ask_due()
    assert Order.objects.get(pk=order).payment == "unknown" and breaker.is_open
    breaker.close()
    PaymentAttempt.objects.update(ask_at=now())
    ask_due()
    assert (Order.objects.get(pk=order).status, double.charged()) == ("paid", [(1250, "eur")])
    execute(CancelOrder("by staff", as_staff=True), actor_id=None, resource_id=order)
    ask_due()
    assert Order.objects.get(pk=order).payment == "refunded" and len(double.refunds) == 1


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [("12.50", "EUR", 1250), ("0.07", "USD", 7), ("1250.00", "JPY", 1250), ("1.25", "KWD", 1250), ("5.00", "UGX", 500)],
)
def test_amounts_in_minor_units(amount, currency, units):
    assert minor_units(Decimal(amount), currency) == units


def test_half_a_yen_is_declined_and_asked_of_nobody(gateway, double):
    with pytest.raises(NoSuchAmount):
        minor_units(Decimal("0.50"), "JPY")
    assert gateway.charge(charge(amount=Decimal("0.50"), currency="JPY")).kind == Kind.DECLINED
    assert double.requests == []


def event(kind: str, about: dict, seconds_ago: int = 0) -> tuple[bytes, dict]:
    body = json.dumps({"id": "evt_1", "object": "event", "type": kind, "data": {"object": about}})
    signed_at = int(now().timestamp()) - seconds_ago
    header = stripe.WebhookSignature.generate_signature_header(body, SECRET, signed_at)
    return body.encode(), {"Stripe-Signature": header}


INTENT = {"id": "pi_1", "object": "payment_intent", "metadata": {"attempt": "an-attempt"}}
CHARGED = {"id": "ch_1", "object": "charge", "payment_intent": "pi_1", "metadata": {}, "refunded": True}
WHY = "Your card was declined."
FAILED = INTENT | {"last_payment_error": {"message": WHY}}
TOLD = {
    "a charge": ("payment_intent.succeeded", INTENT, ("an-attempt", Kind.CHARGED, "pi_1", "")),
    "a failure": ("payment_intent.payment_failed", FAILED, ("an-attempt", Kind.DECLINED, "pi_1", WHY)),
    "a refund": ("charge.refunded", CHARGED, ("", Kind.REFUNDED, "pi_1", "")),
    "a part of it refunded": ("charge.refunded", CHARGED | {"refunded": False}, None),
    "something else": ("customer.created", {"id": "cus_1", "object": "customer"}, None),
}


@pytest.mark.parametrize("case", TOLD)
def test_what_stripe_says_by_itself(gateway, settings, case):
    settings.STRIPE_WEBHOOK_SECRET = SECRET
    kind, about, expected = TOLD[case]
    notice = gateway.webhook(*event(kind, about))
    outcome = notice and notice.outcome
    assert (notice and (notice.attempt_id, outcome.kind, outcome.reference, outcome.reason)) == expected


def test_only_stripe_says_so_and_lately(gateway, settings):
    settings.STRIPE_WEBHOOK_SECRET = SECRET
    body, headers = event("payment_intent.succeeded", INTENT)
    for forged in (body + b" ", b"", b"\xff"):
        with pytest.raises(Problem):
            gateway.webhook(forged, headers)
    for header in ({}, {"Stripe-Signature": "t=1,v1=x"}, {"Stripe-Signature": "x"}):
        with pytest.raises(WrongSignature):
            gateway.webhook(body, header)
    with pytest.raises(WrongSignature):
        gateway.webhook(*event("payment_intent.succeeded", INTENT, seconds_ago=301))
    settings.STRIPE_WEBHOOK_SECRET = ""
    with pytest.raises(WrongSignature):
        gateway.webhook(body, headers)
