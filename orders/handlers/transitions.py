"""What each transition of an order means. `machine.check` sees that none is missing."""

from orders import machine
from orders.events import OrderCancelled, OrderDelivered, OrderPaid, OrderPaymentFailed, OrderShipped
from orders.handlers import attempts, stock
from orders.machine import Change, transition
from orders.models import Order, OrderItem, Payment, Status
from orders.rows import lock_products
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.effects import Effects

# Where the money goes when an order is cancelled. Of what is under way nobody knows yet: see payments.py.
WHEN_CANCELLED = {Payment.DUE: Payment.VOID, Payment.PAID: Payment.REFUNDING}


@transition(Status.PENDING, to=Status.PAID)
def pay(change: Change) -> None:
    change.order.payment = Payment.PAID
    _become(change, Status.PAID, OrderPaid, payment=Payment.PAID.value)


@transition(Status.PENDING, to=Status.PAYMENT_FAILED)
def fail(change: Change) -> None:
    change.order.payment = Payment.DECLINED
    _return_stock(change)
    _become(change, Status.PAYMENT_FAILED, OrderPaymentFailed, payment=Payment.DECLINED.value, reason=change.reason)


@transition(Status.PENDING, Status.PAID, to=Status.CANCELLED)
def cancel(change: Change) -> None:
    order = change.order
    order.payment = WHEN_CANCELLED.get(order.payment, order.payment)
    attempts.cancel(change)
    _return_stock(change)
    _become(change, Status.CANCELLED, OrderCancelled, payment=str(order.payment), reason=change.reason)


@transition(Status.PAID, to=Status.SHIPPED)
def ship(change: Change) -> None:
    _become(change, Status.SHIPPED, OrderShipped)


@transition(Status.SHIPPED, to=Status.DELIVERED)
def deliver(change: Change) -> None:
    _become(change, Status.DELIVERED, OrderDelivered)


def tell(envelope: Envelope, effects: Effects, order: Order, kind: type, **fields) -> None:
    """Emit an event about a locked order, with its next version."""
    order.version += 1
    order.updated_at = effects.now
    event = kind(order_id=str(order.pk), user_id=str(order.user_id), status=str(order.status), **fields)
    effects.emit(envelope, event, aggregate_id=order.pk, aggregate_version=order.version)


def _become(change: Change, status: Status, kind: type, **fields) -> None:
    former, change.order.status = change.order.status, status.value
    tell(change.envelope, change.effects, change.order, kind, former=str(former), **fields)


def _return_stock(change: Change) -> None:
    items = OrderItem.objects.filter(order=change.order).values_list("product_id", "quantity")
    units = {product_id: -quantity for product_id, quantity in items}
    stock.take(units, lock_products(units), change.envelope, change.effects)


machine.check()
