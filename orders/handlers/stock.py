"""Stock: rows of products are locked in the order of their ids, so that two transactions cannot deadlock."""

from uuid import UUID

from django.db import connections

from orders.commands import CorrectStock
from orders.events import StockCorrected, StockReturned, StockTaken
from orders.lines import Shelved
from orders.models import Product
from orders.rows import lock_products
from socialapp.cqrs.commands import Envelope, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.problems import Invalid, NotFound, Problem


class OutOfStock(Problem):
    status, code, title = 409, "out_of_stock", "There is not enough in stock"


def require(units: dict[UUID, int], products: dict[UUID, Shelved]) -> None:
    """Raises OutOfStock, naming each product of which there are fewer than `units`, or Invalid for what is not sold."""
    if unknown := [product_id for product_id in units if product_id not in products]:
        raise Invalid(f"There is no product {unknown[0]}.")
    if unsold := [products[product_id] for product_id in units if not products[product_id].is_sold]:
        raise Invalid(f"{unsold[0].name} is not for sale.")
    if short := [products[product_id] for product_id, wanted in units.items() if products[product_id].stock < wanted]:
        errors = [_shortage(product, units[product.pk]) for product in short]
        raise OutOfStock("; ".join(error["message"] for error in errors), errors=errors)


def _shortage(product: Shelved, wanted: int) -> dict:
    return {
        "field": "items",
        "code": "out_of_stock",
        "message": f"{wanted} of {product.name} are wanted, there are {product.stock}.",
        "product_id": str(product.pk),
        "available": product.stock,
    }


def take(units: dict[UUID, int], products: dict[UUID, Shelved], envelope: Envelope, effects: Effects) -> None:
    """Move units of locked products into an order, or out of it where they are negative."""
    moved = {product_id: quantity for product_id, quantity in units.items() if quantity}
    if not moved:
        return
    with connections["default"].cursor() as cursor:
        cursor.execute(
            """
            UPDATE orders_product SET stock = stock - new.quantity, sequence = sequence + 1
            FROM unnest(%s::uuid[], %s::int[]) AS new (id, quantity) WHERE orders_product.id = new.id
            """,
            [list(moved), list(moved.values())],
        )
    tell_moved(moved, products, envelope, effects)


def tell_moved(moved: dict[UUID, int], products: dict[UUID, Shelved], envelope: Envelope, effects: Effects) -> None:
    """Emit what the rows of `products` say already."""
    for product_id, quantity in moved.items():
        product = products[product_id]
        product.stock -= quantity
        product.sequence += 1
        kind = StockTaken if quantity > 0 else StockReturned
        event = kind(str(product_id), str(envelope.resource_id), abs(quantity), product.stock)
        effects.emit(envelope, event, aggregate_id=product_id, aggregate_version=product.sequence)


@handles(CorrectStock)
def correct_stock(envelopes: list[Envelope], effects: Effects) -> None:
    products = lock_products({envelope.resource_id for envelope in envelopes})
    for envelope in envelopes:
        command, product = envelope.command, products.get(envelope.resource_id)
        if product is None:
            effects.reject(envelope, NotFound("There is no such product."))
            continue
        if product.stock + command.difference < 0:
            effects.reject(envelope, Invalid(f"There are only {product.stock} of {product.sku}."))
            continue
        product.stock += command.difference
        product.sequence += 1
        event = StockCorrected(str(product.pk), command.difference, product.stock, command.reason)
        effects.emit(envelope, event, aggregate_id=product.pk, aggregate_version=product.sequence)
    rows = [Product(pk=product.pk, stock=product.stock, sequence=product.sequence) for product in products.values()]
    Product.objects.bulk_update(rows, ["stock", "sequence"], batch_size=500)
