"""Whether the tables say what the events say, and the one way to correct them. For `manage.py rebuild_orders`.

Besides handlers nobody writes orders; what differs was written by hand, or by a handler that is wrong.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from uuid import UUID

from django.db import connections, transaction
from django.db.models import Model

from orders.events import all_orders_key
from orders.handlers.placing import insert_lines
from orders.history import NotFoldable, State, state_after
from orders.lines import Line
from orders.models import Order, OrderItem, Product
from orders.queries import get_order_addresses
from socialapp.cqrs import cache, events, routing
from socialapp.cqrs.events import Recorded
from socialapp.cqrs.snapshots import snapshot

BATCH = 500
MOST_MISSING = 1000

PLACED_BUT_MISSING = """
    SELECT aggregate_id FROM cqrs_event
    WHERE type = 'OrderPlaced' AND NOT EXISTS (SELECT FROM orders_order WHERE orders_order.id = aggregate_id)
    LIMIT %s
"""
# Per product: its units by its events, and whether these go back to when it was added.
STOCK = """
    SELECT aggregate_id, min(aggregate_version) = 1 AND max(aggregate_version) = count(*), sum(CASE type
        WHEN 'ProductAdded' THEN (payload->>'stock')::bigint
        WHEN 'StockCorrected' THEN (payload->>'difference')::bigint
        WHEN 'StockReturned' THEN (payload->>'quantity')::bigint
        WHEN 'StockTaken' THEN -(payload->>'quantity')::bigint
        ELSE 0 END)
    FROM cqrs_event WHERE aggregate_id = ANY(%s) GROUP BY aggregate_id
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one row. fields: (what the table says, what the events say) by name."""

    row: Model
    fields: dict[str, tuple[object, object]]

    def __str__(self):
        shown = (f"{name} {written} -> {told}" for name, (written, told) in self.fields.items())
        return f"{self.row._meta.verbose_name} {self.row} ({self.row.pk}): {'; '.join(shown)}"


@dataclass
class Comparison:
    """untold: rows whose first events are not recorded any more; nothing is said of them."""

    compared: int = 0
    untold: int = 0
    differences: list[Difference] = field(default_factory=list)

    def add(self, other: "Comparison") -> None:
        self.compared += other.compared
        self.untold += other.untold
        self.differences += other.differences


def batches(model: type[Model]) -> Iterator[list[UUID]]:
    """All ids of a table."""
    after = UUID(int=0)
    while found := list(model.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        yield found
        after = found[-1]


def missing_orders() -> list[UUID]:
    """Orders that have been placed and are not there, a thousand at most: events alone do not bring them back."""
    with connections["default"].cursor() as cursor:
        cursor.execute(PLACED_BUT_MISSING, [MOST_MISSING])
        return [order_id for (order_id,) in cursor.fetchall()]


def compare_orders(order_ids: Sequence[UUID]) -> Comparison:
    """In one snapshot, in which rows and events belong together."""
    found = Comparison()
    with snapshot():
        states = states_of(order_ids)
        addresses = get_order_addresses(order_ids, "default")
        for order in Order.objects.filter(pk__in=order_ids).prefetch_related("items"):
            if (state := states.get(order.pk)) is None:
                found.untold += 1
                continue
            found.compared += 1
            if differing := differences(order, state, addresses):
                found.differences.append(Difference(order, differing))
    return found


def compare_stock(product_ids: Sequence[UUID]) -> Comparison:
    """Whether what was added, corrected, taken and returned makes up what is there."""
    found = Comparison()
    with snapshot(), connections["default"].cursor() as cursor:
        cursor.execute(STOCK, [list(product_ids)])
        told = {product_id: units for product_id, whole, units in cursor.fetchall() if whole}
        for product in Product.objects.filter(pk__in=product_ids):
            if product.pk not in told:
                found.untold += 1
                continue
            found.compared += 1
            if product.stock != told[product.pk]:
                found.differences.append(Difference(product, {"stock": (product.stock, int(told[product.pk]))}))
    return found


def repair(order_id: UUID) -> Difference | None:
    """Make an order what its events say, if that still differs. Raises valkey.UNREACHABLE after it was corrected."""
    with transaction.atomic(durable=True):
        order = Order.objects.select_for_update(no_key=True).get(pk=order_id)
        recorded = list(events.history([order_id]))
        state, addresses = _state(recorded), get_order_addresses([order_id], "default")
        if state is None or not (differing := differences(order, state, addresses)):
            return None
        wrong = order.status
        _write(order, state, addresses)
    stale = events.stale_keys(one.event for one in recorded) | {all_orders_key(wrong)}
    cache.invalidate(stale, place=routing.position(routing.PRIMARY))
    return Difference(order, differing)


def states_of(order_ids: Sequence[UUID]) -> dict[UUID, State | None]:
    """By id; None, or nothing at all, where the events do not tell all."""
    histories = groupby(events.history(order_ids), key=lambda one: one.aggregate_id)
    return {order_id: _state(list(recorded)) for order_id, recorded in histories}


def differences(order: Order, state: State, addresses: dict[str, dict]) -> dict[str, tuple[object, object]]:
    written = {name: getattr(order, name) for name in ("status", "payment", "total", "version", "address")}
    told = {name: getattr(state, name) for name in ("status", "payment", "total", "version")}
    # An address that was erased is not known any more, and nothing differs from it.
    told["address"] = addresses.get(state.address, order.address) if state.address else {}
    written["items"], told["items"] = _in_order(map(Line.of, order.items.all())), _in_order(state.items)
    return {name: (written[name], told[name]) for name in told if written[name] != told[name]}


def _state(recorded: list[Recorded]) -> State | None:
    try:
        return state_after(recorded)
    except NotFoldable:
        return None


def _in_order(lines) -> list[str]:
    return sorted(line.encode() for line in lines)


def _write(order: Order, state: State, addresses: dict[str, dict]) -> None:
    order.status, order.payment, order.total = state.status, state.payment, state.total
    order.version = state.version
    order.address = addresses.get(state.address, order.address) if state.address else {}
    order.save(update_fields=["status", "payment", "total", "version", "address"])
    OrderItem.objects.filter(order=order).delete()
    insert_lines(order, state.items)
