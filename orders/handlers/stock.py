"""Stock: rows of products are locked in the order of their ids, so that two transactions cannot deadlock."""

from orders.commands import CorrectStock
from orders.events import StockCorrected
from orders.models import Product
from socialapp.cqrs.commands import Envelope, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.problems import Invalid, NotFound


@handles(CorrectStock)
def correct_stock(envelopes: list[Envelope], effects: Effects) -> None:
    wanted = {envelope.resource_id for envelope in envelopes}
    locked = Product.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
    products = {product.pk: product for product in locked}
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
    Product.objects.bulk_update(products.values(), ["stock", "sequence"], batch_size=500)
