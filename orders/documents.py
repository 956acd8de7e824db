"""Orders as the API shows them."""

from orders.money import document
from socialapp.cqrs.fragments import Fragment, encode


def order_document(row: dict) -> dict:
    """row: of queries.get_orders."""
    currency = row["currency"]
    return {
        "id": row["id"],
        "number": row["number"],
        "status": row["status"],
        "items": [_item(item, currency) for item in row["items"]],
        "total": document(row["total"], currency),
        "address": row["address"] or None,
        "payment": {"type": row["payment_type"], "status": row["payment"]},
        "version": row["version"],
        "held_until": row["held_until"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


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
