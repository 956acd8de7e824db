"""Placing an order: one transaction takes the stock and writes the order down. It needs nothing but the primary."""

from datetime import datetime
from uuid import UUID

from django.conf import settings

from orders.commands import PlaceOrder
from orders.events import OrderPlaced
from orders.handlers import stock
from orders.lines import Line, Shelved, lines_of, split, total_of, wanted
from orders.models import Address, Order, OrderAddress, OrderItem
from orders.models.order import SHOWN
from orders.rows import inserting, locked, locking
from socialapp.cqrs.commands import Envelope, Statement, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.problems import Invalid, Problem

LINE = ("product_id", "sku", "name", "quantity", "unit_price")
ADDRESS = ("name", "line1", "line2", "city", "region", "postcode", "country")


def _locking(envelope: Envelope) -> Statement:
    return locking(envelope.id, (product_id for product_id, _ in map(split, envelope.command.items)))


@handles(PlaceOrder, first=_locking)
def place_order(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        try:
            _place(envelope, effects)
        except Problem as problem:
            effects.reject(envelope, problem)


def _place(envelope: Envelope, effects: Effects) -> None:
    """Raises Problem, all of them before anything is written: a rejection is kept, and with it what was written."""
    units = wanted(envelope.command.items)
    address = address_of(envelope.actor_id, envelope.command.address_id)
    products, number = locked(effects.first_rows(envelope))
    stock.require(units, products)
    currency = currency_of(products)
    lines = lines_of(units, products)
    order = _order(envelope, number, lines, currency, address, effects.now)
    effects.write_last(inserting(order, lines))
    stock.tell_moved(units, products, envelope, effects)
    effects.emit(
        envelope, _told(order, lines, keep_address(order)), aggregate_id=order.pk, aggregate_version=order.version
    )
    effects.answer(envelope, described(order, lines))


def address_of(user_id: UUID, address_id: str | None) -> dict:
    """One of the customer's, as it is now; {} for none. Raises Invalid."""
    if address_id is None:
        return {}
    address = Address.objects.filter(pk=address_id, user_id=user_id).values(*ADDRESS).first()
    if address is None:
        raise Invalid("There is no such address.")
    return address


def keep_address(order: Order) -> str:
    """Write down where an order goes to; the name of that in events, "" for nowhere.

    The order itself may be written later in the transaction: its key is looked for at the commit.
    """
    return str(OrderAddress.objects.create(id=new_id(), order=order, address=order.address).pk) if order.address else ""


def currency_of(products: dict[UUID, Shelved]) -> str:
    """Raises Invalid for more than one."""
    first, *others = {product.currency for product in products.values()}
    if others:
        raise Invalid("The products of one order have one currency.")
    return first


def insert_lines(order: Order, lines: list[Line]) -> None:
    OrderItem.objects.bulk_create(
        [
            OrderItem(
                order=order,
                product_id=line.product_id,
                quantity=line.quantity,
                unit_price=line.unit_price,
                sku=line.sku,
                name=line.name,
            )
            for line in lines
        ],
        batch_size=500,
    )


def _order(envelope: Envelope, number: int, lines: list[Line], currency: str, address: dict, now: datetime) -> Order:
    return Order(
        pk=envelope.resource_id,
        number=number,
        user_id=envelope.actor_id,
        total=total_of(lines),
        currency=currency,
        address=address,
        payment_type=envelope.command.payment_type,
        payment_token=envelope.command.payment_token,
        held_until=now + settings.ORDER_HOLD,
        created_at=now,
        updated_at=now,
    )


def _told(order: Order, lines: list[Line], address: str) -> OrderPlaced:
    return OrderPlaced(
        order_id=str(order.pk),
        user_id=str(order.user_id),
        number=order.number,
        items=tuple(line.encode() for line in lines),
        total=str(order.total),
        currency=order.currency,
        address_id=address,
        status=order.status,
        payment=order.payment,
    )


def described(order: Order, lines: list[Line]) -> dict:
    """What queries.get_orders would find, for the answer: to read it again would cost as much as to write it."""
    row = {name: getattr(order, name) for name in SHOWN}
    return row | {"items": [{name: getattr(line, name) for name in LINE} for line in lines]}
