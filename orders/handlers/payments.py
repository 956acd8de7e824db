"""Paying: an attempt is committed before the gateway is asked, and what it says is written down after that.

All of it is harmless when repeated: workers die between any two steps, and gateways tell things twice. The order's row
is locked before the attempt's.
"""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings

from orders.commands import ClaimAttempt, ExpireOrder, HastenAttempt, RecordPayment, StartPayment
from orders.events import PaymentMoved
from orders.handlers.attempts import LIVE, State
from orders.handlers.changing import locked, on_locked_order
from orders.handlers.transitions import tell
from orders.machine import Change, InvalidTransition, move
from orders.models import Payment, PaymentAttempt, Status
from socialapp.cqrs.commands import Envelope, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.problems import NotFound, Problem

# Until a claimed attempt is due again, unless its outcome comes first: more than the gateway's timeouts together, then
# twice as long each time.
PATIENCE = timedelta(seconds=15)
MOST_PATIENCE = timedelta(hours=1)
LONGEST = {"reference": 255, "reason": 500}


class NothingToPay(Problem):
    status, code, title = 409, "nothing_to_pay", "The order is not waiting for a payment"


class NotDue(Problem):
    status, code, title = 409, "not_due", "The gateway need not be asked now"


@handles(StartPayment)
def start_payment(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        on_locked_order(envelope, effects, _start, lock=locked)


@handles(RecordPayment)
def record_payment(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        on_locked_order(envelope, effects, _record, lock=locked)


@handles(ExpireOrder)
def expire_order(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        on_locked_order(envelope, effects, _expire, lock=locked)


@handles(ClaimAttempt)
def claim_attempt(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        # Who else has it locked is claiming it as well, or already knows its outcome.
        attempt = _attempts(envelope, skip_locked=True).filter(ask_at__lte=effects.now).first()
        if attempt is None:
            effects.reject(envelope, NotDue("It is not due, or another worker has it."))
            continue
        attempt.asked += 1
        _save(attempt, effects, ask_at=effects.now + patience(attempt.asked))


@handles(HastenAttempt)
def hasten_attempt(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        attempt = _attempts(envelope).first()
        if attempt is None:
            effects.reject(envelope, NotDue("The outcome of this attempt is known."))
            continue
        _save(attempt, effects, ask_at=effects.now)


def patience(asked: int) -> timedelta:
    """After so many questions; at most MOST_PATIENCE."""
    return min(PATIENCE * 2 ** min(asked - 1, 20), MOST_PATIENCE)


def _attempts(envelope: Envelope, **locking: bool):
    """The attempt that a command names, if its outcome is not known; locked."""
    live = PaymentAttempt.objects.select_for_update(no_key=True, **locking).filter(state__in=LIVE)
    return live.filter(pk=envelope.command.attempt_id, order_id=envelope.resource_id)


def _start(change: Change) -> None:
    order, now = change.order, change.effects.now
    if order.status != Status.PENDING or order.payment != Payment.DUE or order.held_until <= now:
        raise NothingToPay(f"The order is {order.status}, and its payment {order.payment}.")
    if not order.total:
        move(change, Status.PAID)
        return
    attempt = PaymentAttempt.objects.create(
        id=new_id(partition_of(order.pk)),
        order=order,
        order_version=order.version,
        gateway=settings.PAYMENT_GATEWAY,
        amount=order.total,
        currency=order.currency,
        ask_at=now,
        created_at=now,
        updated_at=now,
    )
    _tell(change, attempt, Payment.UNDER_WAY)


def _expire(change: Change) -> None:
    """What is under way goes on: should it still be charged, it is refunded."""
    if change.order.held_until > change.effects.now:
        raise InvalidTransition("There is time left to pay.")
    move(_because(change, "not paid in time"), Status.CANCELLED)


def _record(change: Change) -> None:
    """Raises NotFound. What fits no state any more was said before, and changes nothing."""
    command = change.envelope.command
    attempt = PaymentAttempt.objects.select_for_update(no_key=True).filter(
        pk=command.attempt_id, order=change.order
    ).first()  # fmt: skip
    if attempt is None:
        raise NotFound("There is no such attempt.")
    if react := REACTIONS.get((attempt.state, command.outcome)):
        react(change, attempt)


def _charged(change: Change, attempt: PaymentAttempt) -> None:
    if change.order.status == Status.PENDING:
        _become(change, attempt, State.CHARGED, ask_at=None)
        move(change, Status.PAID)
        return
    # Too late: it goes back.
    _become(change, attempt, State.REFUNDING, ask_at=change.effects.now, asked=0)
    _tell(change, attempt, Payment.REFUNDING)


def _declined(change: Change, attempt: PaymentAttempt) -> None:
    _become(change, attempt, State.DECLINED, ask_at=None)
    if change.order.status == Status.PENDING:
        move(_because(change, attempt.reason), Status.PAYMENT_FAILED)
    else:
        _tell(change, attempt, Payment.VOID)


def _unknown(change: Change, attempt: PaymentAttempt) -> None:
    _become(change, attempt, State.UNKNOWN)
    _tell(change, attempt, Payment.UNKNOWN)


def _refunded(change: Change, attempt: PaymentAttempt) -> None:
    _become(change, attempt, State.REFUNDED, ask_at=None)
    _tell(change, attempt, Payment.REFUNDED)


def _still(change: Change, attempt: PaymentAttempt) -> None:
    """As unknown as before, if perhaps for another reason."""
    _become(change, attempt, attempt.state)


Reaction = Callable[[Change, PaymentAttempt], None]
REACTIONS: dict[tuple[str, str], Reaction] = {
    (State.OPEN, "charged"): _charged,
    (State.UNKNOWN, "charged"): _charged,
    # It was given up, or the gateway took it back.
    (State.DECLINED, "charged"): _charged,
    (State.OPEN, "declined"): _declined,
    (State.UNKNOWN, "declined"): _declined,
    (State.OPEN, "unknown"): _unknown,
    (State.UNKNOWN, "unknown"): _still,
    (State.REFUNDING, "unknown"): _still,
    (State.REFUNDING, "refunded"): _refunded,
    # By an operator, at the gateway.
    (State.CHARGED, "refunded"): _refunded,
}


def _become(change: Change, attempt: PaymentAttempt, state: str, **fields) -> None:
    command = change.envelope.command
    said = {"reason": command.reason, "reference": command.reference or attempt.reference}
    cut = {name: text[: LONGEST[name]] for name, text in said.items()}
    if state not in (State.OPEN, State.UNKNOWN):
        # What is not kept cannot leak.
        change.order.payment_token = ""
    _save(attempt, change.effects, state=state, **cut, **fields)


def _save(attempt: PaymentAttempt, effects: Effects, **fields) -> None:
    for name, value in fields.items():
        setattr(attempt, name, value)
    attempt.updated_at = effects.now
    attempt.save()


def _tell(change: Change, attempt: PaymentAttempt, payment: Payment) -> None:
    """The money moved, the order's status did not."""
    change.order.payment = payment.value
    fields = {"attempt_id": str(attempt.pk), "payment": payment.value, "reason": attempt.reason}
    tell(change.envelope, change.effects, change.order, PaymentMoved, **fields)


def _because(change: Change, reason: str) -> Change:
    return Change(change.order, change.envelope, change.effects, reason)
