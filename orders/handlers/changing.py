"""Changing and cancelling an order, on its locked row: first the order is locked, then products by id."""

from collections.abc import Callable
from uuid import UUID

from django.db import transaction

from orders.commands import CancelOrder, ChangeOrder
from orders.events import OrderAddressChanged, OrderItemsChanged
from orders.handlers import stock
from orders.handlers.placing import address_of, currency_of, described, insert_lines, keep_address
from orders.handlers.transitions import tell
from orders.lines import Line, lines_of, total_of, wanted
from orders.machine import Change, InvalidTransition, move
from orders.models import Order, OrderItem, Payment, Status
from orders.rows import lock_products
from socialapp.cqrs.commands import Envelope, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.problems import Forbidden, Invalid, NotFound, Problem, Stale

# What staff may say that an order is. Whether it is paid is for the gateway to say.
SAID_BY_STAFF = (Status.SHIPPED, Status.DELIVERED, Status.CANCELLED)
UNDER_WAY = (Payment.UNDER_WAY, Payment.UNKNOWN)


class PaymentInProgress(Problem):
    status, code, title = 409, "payment_in_progress", "The order is being paid"


@handles(ChangeOrder)
def change_order(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        _answer_with(on_locked_order(envelope, effects, _change), envelope, effects)


@handles(CancelOrder)
def cancel_order(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        _answer_with(on_locked_order(envelope, effects, _cancel), envelope, effects)


def _answer_with(order: Order | None, envelope: Envelope, effects: Effects) -> None:
    """What it became by this change: another one may follow before it could be read."""
    if order:
        items = OrderItem.objects.filter(order=order).order_by("product_id")
        effects.answer(envelope, described(order, [Line.of(item) for item in items]))


def on_locked_order(
    envelope: Envelope,
    effects: Effects,
    change: Callable[[Change], None],
    *,
    lock: Callable[[Envelope], Order] | None = None,
) -> Order | None:
    """Run `change` on the order and save it; all of it or, when a Problem is raised, nothing, and None is returned.

    lock: finds the order and locks its row; by default as the actor's own, in the version that was expected.
    """
    told = len(effects.events)
    try:
        with transaction.atomic():
            order = (lock or _own)(envelope)
            change(Change(order, envelope, effects, getattr(envelope.command, "reason", "")))
            order.save()
            return order
    except Problem as problem:
        del effects.events[told:]
        effects.reject(envelope, problem)
        return None


def locked(envelope: Envelope, **owner: UUID) -> Order:
    """Raises NotFound, also when it is not the `user_id`'s that is given: then no row is locked."""
    order = Order.objects.select_for_update(no_key=True).filter(pk=envelope.resource_id, **owner).first()
    if order is None:
        raise NotFound("There is no such order.")
    return order


def _own(envelope: Envelope) -> Order:
    """Raises NotFound, also for somebody else's, and Stale."""
    command = envelope.command
    order = locked(envelope) if command.as_staff else locked(envelope, user_id=envelope.actor_id)
    if command.expected_version not in (None, order.version):
        raise Stale(f"The order has version {order.version} by now.")
    return order


def _change(change: Change) -> None:
    command = change.envelope.command
    if command.items:
        _change_items(change)
    if command.address_id is not None:
        _change_address(change)
    if command.status is not None:
        _change_status(change)


def _cancel(change: Change) -> None:
    move(change, Status.CANCELLED)


def _change_items(change: Change) -> None:
    order, effects = change.order, change.effects
    if order.status != Status.PENDING:
        raise InvalidTransition(f"The items of an order that is {order.status} stay as they are.")
    if order.payment in UNDER_WAY:
        raise PaymentInProgress("What is being paid cannot change; cancel the order, or wait.")
    former = dict(OrderItem.objects.filter(order=order).values_list("product_id", "quantity"))
    units = wanted(change.envelope.command.items)
    products = lock_products(former.keys() | units.keys())
    more = {product_id: quantity - former.get(product_id, 0) for product_id, quantity in units.items()}
    stock.require(more, products)
    lines = lines_of(units, products)
    if currency_of({product_id: products[product_id] for product_id in units}) != order.currency:
        raise Invalid(f"The order is in {order.currency}.")
    less = {product_id: -quantity for product_id, quantity in former.items() if product_id not in units}
    stock.take(more | less, products, change.envelope, effects)
    OrderItem.objects.filter(order=order).delete()
    insert_lines(order, lines)
    order.total = total_of(lines)
    items = tuple(line.encode() for line in lines)
    tell(change.envelope, effects, order, OrderItemsChanged, items=items, total=str(order.total))


def _change_address(change: Change) -> None:
    order = change.order
    if order.status not in (Status.PENDING, Status.PAID):
        raise InvalidTransition(f"The address of an order that is {order.status} stays as it is.")
    order.address = address_of(order.user_id, change.envelope.command.address_id)
    tell(change.envelope, change.effects, order, OrderAddressChanged, address_id=keep_address(order))


def _change_status(change: Change) -> None:
    status = Status(change.envelope.command.status)
    if not change.envelope.command.as_staff:
        raise Forbidden("The status is changed by staff only; an order is cancelled by DELETE.")
    if status not in SAID_BY_STAFF:
        raise InvalidTransition(f"Nobody can say that an order is {status}; it becomes so.")
    move(change, status)
