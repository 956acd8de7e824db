"""Categories and products: what operators add and edit."""

from uuid import UUID

from django.db import IntegrityError, connections, transaction

from orders.commands import AddProduct, EditProduct, SaveCategory
from orders.events import CategorySaved, ProductAdded, ProductEdited
from orders.models import Category, Product
from orders.money import amount
from socialapp.cqrs.commands import Envelope, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.problems import Invalid, NotFound, Problem

DEEPEST = 10


class Taken(Problem):
    status, code, title = 409, "taken", "There is one already"


@handles(SaveCategory)
def save_category(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        # The tree changes rarely, and as a whole: two moves at a time could make a circle.
        with connections["default"].cursor() as cursor:
            cursor.execute("LOCK TABLE orders_category IN SHARE ROW EXCLUSIVE MODE")
        try:
            _save_category(envelope, effects)
        except Problem as problem:
            effects.reject(envelope, problem)


def _save_category(envelope: Envelope, effects: Effects) -> None:
    command = envelope.command
    category = Category.objects.filter(pk=envelope.resource_id).first() or Category(pk=envelope.resource_id, sequence=0)
    former, path = category.path, _path(command)
    if former and f"{path}/".startswith(f"{former}/") and path != former:
        raise Invalid("A category cannot be inside itself.")
    if Category.objects.filter(path=path).exclude(pk=category.pk).exists():
        raise Taken(f"There is a category {path} already.")
    below = list(Category.objects.filter(path__startswith=f"{former}/").order_by("path")) if former else []
    category.name, category.slug, category.path = command.name, command.slug, path
    category.parent_id = command.parent_id and UUID(command.parent_id)
    for one in [category, *below]:
        before = one.path if one is not category else former
        one.path = path + one.path[len(former) :] if one is not category else path
        one.sequence += 1
        one.save(force_insert=one.sequence == 1)
        event = CategorySaved(str(one.pk), one.name, one.path, before)
        effects.emit(envelope, event, aggregate_id=one.pk, aggregate_version=one.sequence)


def _path(command: SaveCategory) -> str:
    if command.parent_id is None:
        return command.slug
    parent = Category.objects.filter(pk=command.parent_id).first()
    if parent is None:
        raise NotFound("There is no such parent category.")
    path = f"{parent.path}/{command.slug}"
    if path.count("/") >= DEEPEST:
        raise Invalid(f"Categories are at most {DEEPEST} deep.")
    return path


@handles(AddProduct)
def add_product(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        command = envelope.command
        product = Product(pk=envelope.resource_id, stock=command.stock, created_at=effects.now)
        try:
            path = _describe(product, command)
            _write(product, force_insert=True)
        except Problem as problem:
            effects.reject(envelope, problem)
            continue
        event = ProductAdded(**_told(product, path), stock=product.stock)
        effects.emit(envelope, event, aggregate_id=product.pk, aggregate_version=product.sequence)


@handles(EditProduct)
def edit_product(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        products = Product.objects.select_for_update(no_key=True, of=("self",)).select_related("category")
        product = products.filter(pk=envelope.resource_id).first()
        if product is None:
            effects.reject(envelope, NotFound("There is no such product."))
            continue
        former = product.category.path if product.category else ""
        try:
            path = _describe(product, envelope.command)
            product.version += 1
            product.sequence += 1
            _write(product)
        except Problem as problem:
            effects.reject(envelope, problem)
            continue
        event = ProductEdited(**_told(product, path), former_path=former)
        effects.emit(envelope, event, aggregate_id=product.pk, aggregate_version=product.sequence)


def _describe(product: Product, command: AddProduct | EditProduct) -> str:
    """Write what the command says into the row; the path of its category. Raises NotFound or Invalid."""
    product.sku, product.name, product.description = command.sku, command.name, command.description
    product.price, product.currency = amount(command.price), command.currency
    product.is_sold, product.low_stock = command.is_sold, command.low_stock
    category = Category.objects.filter(pk=command.category_id).first() if command.category_id else None
    if command.category_id and category is None:
        raise NotFound("There is no such category.")
    product.category = category
    return category.path if category else ""


def _write(product: Product, **options) -> None:
    """Raises Taken for the SKU of another product."""
    try:
        with transaction.atomic():
            product.save(**options)
    except IntegrityError as error:
        if "sku" not in str(error):
            raise
        raise Taken(f"There is a product {product.sku} already.") from error


def _told(product: Product, path: str) -> dict:
    return {
        "product_id": str(product.pk),
        "sku": product.sku,
        "name": product.name,
        "description": product.description,
        "price": str(product.price),
        "currency": product.currency,
        "category_path": path,
        "is_sold": product.is_sold,
    }
