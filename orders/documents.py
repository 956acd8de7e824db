"""Orders and their histories as the API shows them."""

from collections.abc import Mapping
from dataclasses import asdict

from orders.history import State
from orders.lines import Line
from orders.money import amount, document
from socialapp.cqrs.events import Recorded
from socialapp.cqrs.fragments import Fragment, encode

# What an event says of itself besides: whose it is, and the names of rows.
UNSHOWN = ("order_id", "user_id", "attempt_id")


def order_document(row: dict) -> dict:
    """row: of queries.get_orders."""
    currency = row["currency"]
    return {
        "id": row["id"],
        "number": row["number"],
        "status": row["status"],
        "items": [_item(item, currency) for item in row["items"]],
        "total": document(row["total"], currency),
        "address": _address(row["address"]),
        "payment": {"type": row["payment_type"], "status": row["payment"]},
        "version": row["version"],
        "held_until": row["held_until"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _address(address: dict) -> dict | None:
    """In one order, whatever Postgres has made of it: the ETag is that of the bytes."""
    return {name: address[name] for name in sorted(address)} or None


def _item(item: dict, currency: str) -> dict:
    return {
        "product_id": item["product_id"],
        "sku": item["sku"],
        "name": item["name"],
        "quantity": item["quantity"],
        "unit_price": document(item["unit_price"], currency),
        "total": document(item["quantity"] * item["unit_price"], currency),
    }


def order_fragment(row: dict) -> Fragment:
    """With the ETag that a change compares."""
    return Fragment(*encode(order_document(row), row["version"]).split(b"\n", 1))


def event_document(recorded: Recorded, currency: str, addresses: Mapping[str, dict]) -> dict:
    """addresses: of queries.get_order_addresses; one that was erased is null."""
    told = {name: value for name, value in asdict(recorded.event).items() if name not in UNSHOWN}
    if "items" in told:
        told["items"] = [_item(asdict(Line.decode(line)), currency) for line in told["items"]]
    if "total" in told:
        told["total"] = document(amount(told["total"]), currency)
    if "address_id" in told:
        told["address"] = addresses.get(told.pop("address_id"))
    name = type(recorded.event).__name__
    return {"type": name, "version": recorded.aggregate_version, "time": recorded.time, "data": told}


def state_document(state: State, addresses: Mapping[str, dict]) -> dict:
    """As far as events tell: of `order_document`, what a customer or a payment changes."""
    return {
        "id": state.order_id,
        "number": state.number,
        "status": state.status,
        "items": [_item(asdict(line), state.currency) for line in state.items],
        "total": document(state.total, state.currency),
        "address": addresses.get(state.address),
        "payment": {"status": state.payment},
        "version": state.version,
    }
