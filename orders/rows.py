"""The statements of placing an order: two, as all that it writes is known after the first."""

from collections.abc import Iterable
from uuid import UUID

import orjson

from orders.lines import Line, Shelved
from orders.models import Order
from socialapp.cqrs import statements
from socialapp.cqrs.commands import IS_CLAIMED, Statement

PRODUCT = ("id", "sku", "name", "price", "currency", "stock", "is_sold", "sequence")
# In the order of their ids, so that two transactions cannot deadlock.
LOCKED = "FROM orders_product WHERE {} id = ANY(%s::uuid[]) ORDER BY id FOR NO KEY UPDATE"
LOCK = f"SELECT {', '.join(PRODUCT)} {LOCKED.format('')}"
# With the number of the order that is placed; a repeat of one that was neither waits nor draws another.
NUMBER = "(SELECT nextval('orders_number'))"
LOCK_AND_NUMBER = f"SELECT {', '.join(PRODUCT)}, {NUMBER} {LOCKED.format(f'{IS_CLAIMED} AND')}"
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
        (id, number, user_id, status, payment, total, currency, address, payment_type, payment_token, held_until,
         created_at, updated_at, version)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s::json, %s, %s, %s, %s, %s, %s)
"""


def locking(command_id: UUID, product_ids: Iterable[UUID]) -> Statement:
    """Locks those that exist until the transaction ends, and draws the number of an order of them; for a command that
    is claimed in this transaction."""
    return LOCK_AND_NUMBER, [command_id, list(product_ids)]


def locked(rows: list[tuple]) -> tuple[dict[UUID, Shelved], int]:
    """(the products by id, the order's number), of what `locking` has found."""
    return {row[0]: Shelved(*row[:-1]) for row in rows}, rows[0][-1] if rows else 0


def lock_products(product_ids: Iterable[UUID]) -> dict[UUID, Shelved]:
    """Those that exist, by id, locked until the transaction ends."""
    with statements.cursor() as cursor:
        cursor.execute(LOCK, [list(product_ids)])
        return {row[0]: Shelved(*row) for row in cursor.fetchall()}


def inserting(order: Order, lines: list[Line]) -> Statement:
    """Writes down an order and its lines, and takes them from the stock of locked products."""
    return INSERT, [
        orjson.dumps([_document(line) for line in lines]).decode(), order.pk,
        order.pk, order.number, order.user_id, order.status, order.payment, order.total, order.currency,
        orjson.dumps(order.address).decode(), order.payment_type, order.payment_token, order.held_until,
        order.created_at, order.updated_at, order.version,
    ]  # fmt: skip


def _document(line: Line) -> dict:
    return {
        "product_id": line.product_id,
        "quantity": line.quantity,
        "unit_price": str(line.unit_price),
        "sku": line.sku,
        "name": line.name,
    }
