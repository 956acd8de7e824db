"""What follows for the attempts at paying an order when the order itself moves. Its row is locked."""

from orders.machine import Change
from orders.models import Payment, PaymentAttempt

State = PaymentAttempt.State
LIVE = (State.OPEN, State.UNKNOWN, State.REFUNDING)


def cancel(change: Change) -> None:
    """What was charged goes back, and what the gateway has never been asked for is not asked for any more."""
    order, now = change.order, change.effects.now
    of_the_order = PaymentAttempt.objects.filter(order=order)
    if order.payment == Payment.REFUNDING:
        of_the_order.filter(state=State.CHARGED).update(state=State.REFUNDING, asked=0, ask_at=now, updated_at=now)
        if not order.total:
            # Nothing was charged for what costs nothing.
            order.payment = Payment.VOID
    # Who is about to ask has counted that before (ClaimAttempt), and waits for this row or made this one wait.
    unasked = of_the_order.filter(state=State.OPEN, asked=0)
    if unasked.update(state=State.DECLINED, ask_at=None, reason="The order was cancelled first.", updated_at=now):
        order.payment = Payment.VOID
    if order.payment == Payment.VOID:
        order.payment_token = ""
