"""Pictures of products. Files come and go outside of the database: put before their command, deleted after it."""

from functools import partial

from django.core.files.storage import default_storage
from django.db import transaction

from orders.commands import AddProductImage, ArrangeProductImages
from orders.events import ProductImagesChanged
from orders.models import Product, ProductImage
from socialapp.cqrs.commands import Envelope, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.problems import NotFound, Problem

MOST = 8


class TooManyImages(Problem):
    status, code, title = 409, "too_many_images", "There are too many pictures"


@handles(AddProductImage)
def add_product_image(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        command, product = envelope.command, _locked(envelope, effects)
        if product is None:
            continue
        images = list(product.images.order_by("position"))
        if len(images) >= MOST:
            effects.reject(envelope, TooManyImages(f"A product has at most {MOST} pictures."))
            continue
        position = images[-1].position + 1 if images else 0
        added = ProductImage(command.file, product.pk, position, command.alt, command.width, command.height)
        added.save(force_insert=True)
        _emit(envelope, effects, product, [*images, added], ())


@handles(ArrangeProductImages)
def arrange_product_images(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        product = _locked(envelope, effects)
        if product is None:
            continue
        images = list(product.images.order_by("position"))
        removed = tuple(image.file for image in images if image.file in envelope.command.removed)
        ProductImage.objects.filter(pk__in=removed).delete()
        kept = _arranged([image for image in images if image.file not in removed], envelope.command)
        ProductImage.objects.bulk_update(kept, ["position", "alt"])
        _emit(envelope, effects, product, kept, removed)
        # A crash in between leaves a file that nothing names.
        transaction.on_commit(partial(_delete_files, removed), robust=True)


def _arranged(images: list[ProductImage], command: ArrangeProductImages) -> list[ProductImage]:
    alts = dict(zip(command.files, command.alts, strict=True))
    places = {file: place for place, file in enumerate(command.files)}
    images.sort(key=lambda image: places.get(image.file, len(places)))
    for position, image in enumerate(images):
        image.position, image.alt = position, alts.get(image.file, image.alt)
    return images


def _locked(envelope: Envelope, effects: Effects) -> Product | None:
    product = Product.objects.select_for_update(no_key=True).filter(pk=envelope.resource_id).first()
    if product is None:
        effects.reject(envelope, NotFound("There is no such product."))
    return product


def _emit(
    envelope: Envelope, effects: Effects, product: Product, images: list[ProductImage], removed: tuple[str, ...]
) -> None:
    product.sequence += 1
    product.save(update_fields=["sequence"])
    event = ProductImagesChanged(str(product.pk), tuple(image.file for image in images), removed)
    effects.emit(envelope, event, aggregate_id=product.pk, aggregate_version=product.sequence)


def _delete_files(names: tuple[str, ...]) -> None:
    for name in names:
        default_storage.delete(name)
