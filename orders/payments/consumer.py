"""What follows for the money from events of orders. The gateway is asked elsewhere: one that is slow must not keep the
lanes and the leases of consumers."""

from uuid import UUID

from orders.commands import StartPayment
from orders.events import OrderCancelled, OrderPlaced
from orders.models import Payment
from orders.payments import tasks
from orders.payments.carrying_out import carried_out
from socialapp.cqrs import waking
from socialapp.cqrs.consumers import consumer
from socialapp.cqrs.events import Recorded


@consumer("payments", outside=True, aggregate="order", lanes=4)
def pay(events: list[Recorded]) -> None:
    """Outside, as each payment is a transaction of its own: one that is refused holds up no other."""
    due = False
    for recorded in events:
        match recorded.event:
            case OrderPlaced(order_id=order_id):
                due |= carried_out(StartPayment(), UUID(order_id))
            case OrderCancelled(payment=Payment.REFUNDING):
                due = True
    if due:
        waking.wake_once([tasks.ASK_GATEWAY])
