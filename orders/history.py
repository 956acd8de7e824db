"""An order as a fold of its events: what it is now, and what it was at any time. Pure; reads nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from orders.events import (
    OrderAddressChanged,
    OrderCancelled,
    OrderDelivered,
    OrderItemsChanged,
    OrderPaid,
    OrderPaymentFailed,
    OrderPlaced,
    OrderShipped,
    PaymentMoved,
)
from orders.lines import Line
from socialapp.cqrs.events import Recorded


class NotFoldable(ValueError):
    """The events are not those of one order from its beginning."""


@dataclass(frozen=True, slots=True)
class State:
    """address: the id of an OrderAddress, "" for none. version: of the last event."""

    order_id: str
    user_id: str
    number: int
    status: str
    payment: str
    items: tuple[Line, ...]
    total: Decimal
    currency: str
    address: str
    version: int


def fold(state: State | None, event: object, version: int) -> State:
    """What an order is after one more event. Raises NotFoldable."""
    match state, event:
        case None, OrderPlaced():
            return _placed(event, version)
        case None, _:
            raise NotFoldable(f"{type(event).__name__} is not where an order begins")
        case _, OrderItemsChanged():
            changed = {"items": _lines(event.items), "total": Decimal(event.total)}
        case _, OrderAddressChanged():
            changed = {"address": event.address_id}
        case _, OrderPaid() | OrderPaymentFailed() | OrderCancelled() | PaymentMoved():
            changed = {"payment": event.payment}
        case _, OrderShipped() | OrderDelivered():
            changed = {}
        case _:
            raise NotFoldable(f"an order does not go on with {type(event).__name__}")
    return replace(state, status=event.status, version=version, **changed)


def state_after(recorded: Iterable[Recorded]) -> State | None:
    """The state after all of one order's events, oldest first; None for none. Raises NotFoldable, also for a gap."""
    state = None
    for expected, one in enumerate(recorded, start=1):
        if one.aggregate_version != expected:
            raise NotFoldable(f"version {one.aggregate_version} comes where {expected} should be")
        state = fold(state, one.event, one.aggregate_version)
    return state


def _placed(event: OrderPlaced, version: int) -> State:
    return State(
        order_id=event.order_id,
        user_id=event.user_id,
        number=event.number,
        status=event.status,
        payment=event.payment,
        items=_lines(event.items),
        total=Decimal(event.total),
        currency=event.currency,
        address=event.address_id,
        version=version,
    )


def _lines(items: Iterable[str]) -> tuple[Line, ...]:
    return tuple(map(Line.decode, items))
