"""The statements of placing an order: two, as everything but the events is known after the first."""

from collections.abc import Iterable
from uuid import UUID

import orjson

from orders.lines import Line, Shelved
from orders.models import Order
from socialapp.cqrs import statements
from socialapp.cqrs.commands import Statement

PRODUCT = ("id", "sku", "name", "price", "currency", "stock", "is_sold", "sequence")
# In the order of their ids, so that two transactions cannot deadlock.
LOCK = f"SELECT {', '.join(PRODUCT)} FROM orders_product WHERE id = ANY(%s::uuid[]) ORDER BY id FOR NO KEY UPDATE"
INSERT = """
    WITH lines AS (
        SELECT * FROM json_to_recordset(%s::json) AS line (
            product_id uuid, quantity int, unit_price numeric, sku text, name text)
    ), taken AS (
        UPDATE orders_product SET stock = stock - quantity, sequence = sequence + 1
        FROM lines WHERE id = product_id
    ), items AS (
        INSERT INTO orders_orderitem (order_id, product_id, quantity, unit_price, sku, name)
        SELECT %s, * FROM lines
    )
    INSERT INTO orders_order
        (id, user_id, status, payment, total, currency, address, payment_type, payment_token, held_until, created_at,
         updated_at, version)
    VALUES (%s, %s, %s, %s, %s, %s, %s::json, %s, %s, %s, %s, %s, %s) RETURNING number
"""


def locking(product_ids: Iterable[UUID]) -> Statement:
    return LOCK, [list(product_ids)]


def shelved(rows: Iterable[tuple]) -> dict[UUID, Shelved]:
    """What `locking` finds, by id."""
    return {row[0]: Shelved(*row) for row in rows}


def lock_products(product_ids: Iterable[UUID]) -> dict[UUID, Shelved]:
    """Those that exist, by id, locked until the transaction ends."""
    with statements.cursor() as cursor:
        cursor.execute(*locking(product_ids))
        return shelved(cursor.fetchall())


def insert_order(order: Order, lines: list[Line]) -> None:
    """Write down an order and its lines, and take them from the stock of locked products; sets order.number."""
    parameters = [
        orjson.dumps([_document(line) for line in lines]).decode(), order.pk,
        order.pk, order.user_id, order.status, order.payment, order.total, order.currency,
        orjson.dumps(order.address).decode(), order.payment_type, order.payment_token, order.held_until,
        order.created_at, order.updated_at, order.version,
    ]  # fmt: skip
    with statements.cursor() as cursor:
        cursor.execute(INSERT, parameters)
        order.number = cursor.fetchone()[0]


def _document(line: Line) -> dict:
    return {
        "product_id": line.product_id,
        "quantity": line.quantity,
        "unit_price": str(line.unit_price),
        "sku": line.sku,
        "name": line.name,
    }
