"""Paying with the sandbox gateway, inside this process: what each token comes to, whatever is repeated or killed."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import OperationalError, connections, transaction
from django.utils.timezone import now

from orders import machine
from orders.commands import CancelOrder, ClaimAttempt, HastenAttempt, RecordPayment, StartPayment
from orders.handlers import payments
from orders.models import Order, PaymentAttempt, Product, SandboxCharge, Status
from orders.payments import asking, consumer, gateways, metrics
from orders.payments.asking import ask_due
from orders.payments.gateways import Kind, Outcome
from socialapp.cqrs import consumers, events
from socialapp.cqrs.execute import execute
from socialapp.cqrs.failures import is_infrastructure
from socialapp.cqrs.models import CommandResult
from socialapp.cqrs.problems import Problem
from socialapp.tests import crashes

pytestmark = pytest.mark.usefixtures("no_other_attempts")
RUN = "from orders.payments.asking import ask_due\nask_due()"


@pytest.fixture
def tea(add_product):
    return add_product(stock=10, price="3.35")


@pytest.fixture
def order(tea, place):
    """order(card) places one of two teas and starts its payment; returns its id."""

    def placed(card: str = "approve", units: int = 2):
        order_id = place({tea: units}, payment_token=card).resource_id
        execute(StartPayment(), actor_id=None, resource_id=order_id)
        return order_id

    return placed


def paid(order_id) -> tuple[str, str, str]:
    """(the order's status, its payment, the attempt's state)"""
    row = Order.objects.get(pk=order_id)
    return row.status, row.payment, attempt_of(order_id).state


def attempt_of(order_id) -> PaymentAttempt:
    return PaymentAttempt.objects.get(order=order_id)


def charges(order_id):
    """What the ledger holds of an order: amounts that were charged, with whether they went back."""
    kept = SandboxCharge.objects.filter(pk__in=PaymentAttempt.objects.filter(order=order_id).values("pk"))
    return [(charge.amount, charge.refunded_at is not None) for charge in kept if charge.is_charged]


def cancel(order_id):
    execute(CancelOrder("by staff", as_staff=True), actor_id=None, resource_id=order_id)


def told(order_id) -> list[str]:
    """The payment after each event, as a fold over the history sees it."""
    history = events.read("aggregate_id = %s", [order_id])
    return [one.event.payment for one in history]


def run_due(order_id) -> None:
    """As if the patience with it had ended, ask."""
    PaymentAttempt.objects.filter(order=order_id, ask_at__isnull=False).update(ask_at=now())
    ask_due()


def stock(product) -> int:
    return Product.objects.get(pk=product).stock


@pytest.mark.parametrize("token", ["approve", "4242424242424242"])
def test_an_approved_order_is_paid(order, token):
    placed = order(token)
    assert paid(placed) == ("pending", "under_way", "open")
    assert ask_due() == 1
    assert paid(placed) == ("paid", "paid", "charged") and charges(placed) == [(Decimal("6.70"), False)]
    assert told(placed) == ["due", "under_way", "paid"]
    assert ask_due() == 0


@pytest.mark.parametrize("token", ["decline", "4000000000000002", "stolen"])
def test_a_declined_order_has_failed_and_its_stock_returns(order, tea, token):
    placed = order(token)
    assert stock(tea) == 8
    ask_due()
    assert paid(placed) == ("payment_failed", "declined", "declined") and charges(placed) == []
    assert stock(tea) == 10 and attempt_of(placed).reason
    assert told(placed) == ["due", "under_way", "declined"]


def test_a_timeout_is_asked_again_later_and_no_failure(order, tea):
    placed = order("timeout")
    ask_due()
    assert paid(placed) == ("pending", "unknown", "unknown") and stock(tea) == 8
    assert ask_due() == 0, "only when its time has come"
    assert attempt_of(placed).ask_at > now() + payments.PATIENCE / 2
    for _ in range(2):
        run_due(placed)
    assert paid(placed) == ("paid", "paid", "charged")
    assert charges(placed) == [(Decimal("6.70"), False)] and attempt_of(placed).asked == 3
    assert told(placed) == ["due", "under_way", "unknown", "paid"]


def test_patience_grows_to_an_hour():
    waits = [payments.patience(asked).total_seconds() for asked in (1, 2, 3, 9, 500)]
    assert waits == [15, 30, 60, 3600, 3600]


def test_a_paid_order_that_is_cancelled_is_refunded(order, tea):
    placed = order()
    ask_due()
    cancel(placed)
    assert paid(placed) == ("cancelled", "refunding", "refunding")
    ask_due()
    assert paid(placed) == ("cancelled", "refunded", "refunded") and stock(tea) == 10
    assert charges(placed) == [(Decimal("6.70"), True)]
    assert told(placed) == ["due", "under_way", "paid", "refunding", "refunded"]


def test_a_charge_that_lands_on_a_cancelled_order_goes_back(order):
    placed = order("timeout")
    ask_due()
    cancel(placed)
    assert paid(placed) == ("cancelled", "unknown", "unknown")
    for _ in range(2):
        run_due(placed)
    assert paid(placed) == ("cancelled", "refunded", "refunded") and charges(placed) == [(Decimal("6.70"), True)]
    assert told(placed) == ["due", "under_way", "unknown", "unknown", "refunding", "refunded"]


def test_what_was_cancelled_before_the_gateway_was_asked_is_never_charged(order):
    placed = order()
    cancel(placed)
    assert ask_due() == 0
    assert paid(placed) == ("cancelled", "void", "declined") and not SandboxCharge.objects.exists()


def test_a_decline_that_lands_on_a_cancelled_order_leaves_it_void(order):
    placed = order("decline")
    assert asking._claimed([attempt_of(placed)])
    cancel(placed)
    run_due(placed)
    assert paid(placed) == ("cancelled", "void", "declined")


def test_what_costs_nothing_is_paid_without_a_gateway(add_product, place):
    placed = place({add_product(stock=1, price="0"): 1}).resource_id
    execute(StartPayment(), actor_id=None, resource_id=placed)
    assert Order.objects.get(pk=placed).status == "paid" and not PaymentAttempt.objects.exists()
    cancel(placed)
    assert Order.objects.get(pk=placed).payment == "void"


def test_events_begin_payments_and_repeated_ones_begin_no_second(tea, place):
    """A consumer sees every event at least once."""
    placed = place({tea: 1}).resource_id
    history = events.read("aggregate_id = %s", [placed])
    for _ in range(2):
        consumer.pay(history)
        ask_due()
    assert paid(placed) == ("paid", "paid", "charged") and len(charges(placed)) == 1


def test_the_consumer_reads_from_the_log_of_events(tea, place):
    placed = place({tea: 1}).resource_id
    for lane in range(consumers.declared()["payments"].lanes):
        while consumers.run("payments", lane):
            pass
    assert paid(placed) == ("pending", "under_way", "open")


def test_many_workers_at_once_charge_once(order):
    placed = [order(units=1) for _ in range(5)]

    def work(_) -> int:
        try:
            return ask_due()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 5
    for one in placed:
        assert paid(one) == ("paid", "paid", "charged") and charges(one) == [(Decimal("3.35"), False)]
    assert set(SandboxCharge.objects.values_list("asked", flat=True)) == {1}


# Killed where no more than this has happened: what the next worker finds, and how often the gateway has been asked.
WINDOWS = {
    "before the claim": ("orders.payments.asking._claimed", 0),
    "after the claim": ("orders.payments.asking._ask", 0),
    "after the charge": ("orders.payments.asking.record", 1),
}


@pytest.mark.parametrize("window", WINDOWS)
def test_a_killed_worker_leaves_one_charge_and_a_paid_order(order, window):
    """SIGKILL of a real process; above all between the gateway's charge and our writing it down."""
    placed = order()
    place, asked = WINDOWS[window]
    crashes.kill_at(place, RUN)
    assert paid(placed) == ("pending", "under_way", "open")
    assert len(charges(placed)) == asked
    run_due(placed)
    assert paid(placed) == ("paid", "paid", "charged") and len(charges(placed)) == 1
    assert SandboxCharge.objects.get().asked == asked + 1
    assert told(placed) == ["due", "under_way", "paid"]


def test_a_worker_killed_after_the_refund_leaves_one_refund(order):
    placed = order()
    ask_due()
    cancel(placed)
    crashes.kill_at("orders.payments.asking.record", RUN)
    gone = SandboxCharge.objects.get().refunded_at
    assert paid(placed) == ("cancelled", "refunding", "refunding") and gone
    run_due(placed)
    assert paid(placed) == ("cancelled", "refunded", "refunded") and SandboxCharge.objects.get().refunded_at == gone


def test_a_gateway_that_fails_is_left_alone_and_no_order_fails(order, tea, monkeypatch):
    asked = []

    class Down:
        def charge(self, charge):
            asked.append(charge.id)
            return Outcome(Kind.UNKNOWN, reason="The gateway cannot be reached.", reached=False)

    monkeypatch.setattr(gateways, "named", lambda name: Down())
    first = order(units=1)
    ask_due()
    second = order(units=1)
    assert ask_due() == 0 and asking.breaker.is_open and asked == [attempt_of(first).pk]
    assert paid(second) == ("pending", "under_way", "open") and attempt_of(second).asked == 0
    monkeypatch.undo()
    asking.breaker.close()
    run_due(first)
    run_due(second)
    assert paid(first) == paid(second) == ("paid", "paid", "charged")


def test_one_attempt_that_breaks_our_code_keeps_no_other_waiting(order, monkeypatch):
    bad, good = order(units=1), order(units=1)
    sandbox = gateways.named("sandbox")

    class Fragile:
        def charge(self, charge):
            if charge.order_id == bad:
                raise KeyError(charge.order_id)
            return sandbox.charge(charge)

    monkeypatch.setattr(gateways, "named", lambda name: Fragile())
    ask_due()
    assert paid(good) == ("paid", "paid", "charged") and paid(bad) == ("pending", "unknown", "unknown")


def test_one_order_that_cannot_be_recorded_keeps_no_other_waiting(order, monkeypatch):
    bad, good = order(units=1), order(units=1)
    pay = machine._handlers[Status.PENDING, Status.PAID]

    def fragile(change):
        if change.order.pk == bad:
            raise KeyError(bad)
        pay(change)

    monkeypatch.setitem(machine._handlers, (Status.PENDING, Status.PAID), fragile)
    ask_due()
    assert paid(good) == ("paid", "paid", "charged") and paid(bad) == ("pending", "under_way", "open")
    monkeypatch.undo()
    run_due(bad)
    assert paid(bad) == ("paid", "paid", "charged") and len(charges(bad)) == 1


def test_an_order_that_somebody_keeps_locked_is_tried_again_and_not_parked(tea, place):
    """The primary's fault, not the event's: the whole batch comes again."""
    placed = place({tea: 1}).resource_id
    history = events.read("aggregate_id = %s", [placed])
    locked, done = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            Order.objects.select_for_update().get(pk=placed)
            locked.set()
            done.wait(20)
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(20)
    with connections["default"].cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
    try:
        with pytest.raises(OperationalError) as caught:
            consumer.pay(history)
    finally:
        done.set()
        holder.join()
        connections.close_all()
    assert is_infrastructure(caught.value)
    consumer.pay(history)
    assert paid(placed) == ("pending", "under_way", "open")


def test_an_outcome_that_is_told_again_changes_nothing(order):
    placed = order()
    ask_due()
    version = Order.objects.get(pk=placed).version
    for outcome in ("charged", "declined", "unknown"):
        command = RecordPayment(str(attempt_of(placed).pk), outcome)
        execute(command, actor_id=None, resource_id=placed)
    assert paid(placed) == ("paid", "paid", "charged") and Order.objects.get(pk=placed).version == version


def test_a_claim_is_one_workers_until_its_patience_ends(order):
    placed = order()
    claim = ClaimAttempt(str(attempt_of(placed).pk))
    execute(claim, actor_id=None, resource_id=placed)
    with pytest.raises(Problem, match="another worker"):
        execute(claim, actor_id=None, resource_id=placed)
    execute(HastenAttempt(claim.attempt_id), actor_id=None, resource_id=placed)
    execute(claim, actor_id=None, resource_id=placed)
    assert attempt_of(placed).asked == 2


def test_the_amount_is_that_of_the_committed_attempt(order):
    placed = order()
    Order.objects.filter(pk=placed).update(total=Decimal("99.00"))
    ask_due()
    assert charges(placed) == [(Decimal("6.70"), False)]
    assert attempt_of(placed).order_version == 1


def test_the_token_is_told_to_nobody_and_forgotten(order, caplog):
    token = "stolen-token-of-a-card"
    placed = order(token)
    ask_due()
    row = Order.objects.get(pk=placed)
    assert row.payment_token == "" and token not in caplog.text
    history = events.read("aggregate_id = %s", [placed])
    results = CommandResult.objects.filter(resource_id=placed).values()
    assert token not in repr(history) and token not in repr(list(results))
    assert token not in repr(gateways.Charge.of(attempt_of(placed)))


def test_an_order_whose_time_is_over_is_not_charged(tea, place):
    placed = place({tea: 1}).resource_id
    Order.objects.filter(pk=placed).update(held_until=now() - timedelta(seconds=1))
    consumer.pay(events.read("aggregate_id = %s", [placed]))
    assert not PaymentAttempt.objects.exists()


def test_what_is_under_way_is_counted_for_operators(order):
    order(units=1)
    order("timeout", units=1)
    assert metrics.live() == {"open": (2, 2)}
    ask_due()
    order("timeout", units=1)
    assert metrics.live() == {"open": (1, 1), "unknown": (1, 0)}
    attempts, due = metrics.Payments().collect()
    assert {s.labels["state"]: s.value for s in attempts.samples} == {"open": 1, "unknown": 1, "refunding": 0}
    assert [sample.value for sample in due.samples] == [1]
