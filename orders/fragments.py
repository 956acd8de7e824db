"""Products and categories as the API shows them, and the lists of products by category and of orders."""

from collections.abc import Iterator, Sequence
from uuid import UUID

from django.core.files.storage import default_storage

from orders import queries
from orders.documents import order_document
from orders.events import CategorySaved, product_key
from orders.money import document
from orders.queries import Wanted
from socialapp.cqrs import routing
from socialapp.cqrs.cursors import encode_cursor
from socialapp.cqrs.events import makes_stale
from socialapp.cqrs.fragments import DELETED, Entities, Lists, Page, Pages, encode
from socialapp.cqrs.problems import NotFound

# Rows looked up at once when a category's new name makes all of its products stale.
FAN_OUT = 1000
# Seconds. What the cache holds is dropped by the events; this is for whoever changes a price by hand in the database.
TTL = 300
ORDERS_TTL = 60


def product_document(row: dict) -> dict:
    category = {"id": row["category_id"], "name": row["category__name"], "path": row["category__path"]}
    return {
        "id": row["id"],
        "sku": row["sku"],
        "name": row["name"],
        "description": row["description"],
        "price": document(row["price"], row["currency"]),
        "stock": row["stock"],
        "category": category if row["category_id"] else None,
        "images": [image_document(**image) for image in row["pictures"]],
    }


def image_document(file: str, **described) -> dict:
    return {"url": default_storage.url(file)} | described


def load_products(product_ids: Sequence[str], using: str) -> dict[str, bytes]:
    """What is not for sale any more is gone."""
    return {
        str(row["id"]): encode(product_document(row)) if row["is_sold"] else DELETED
        for row in queries.get_products(product_ids, using)
    }


def load_products_of(identifier: str, limit: int, before: UUID | None, using: str) -> Page:
    """identifier: "/" and the path of a category; "/" alone is everything."""
    path = identifier.removeprefix("/")
    if path and not queries.has_category(path, using):
        raise NotFound("There is no such category.")
    return page(Wanted(path), limit, before, using)


def page(wanted: Wanted, limit: int, before: UUID | None, using: str) -> Page:
    ids = queries.list_products(wanted, before=before, limit=limit + 1, using=using)
    following = encode_cursor(ids[limit - 1]) if len(ids) > limit else None
    return Page(tuple(map(str, ids[:limit])), following)


def load_categories(identifiers: Sequence[str], using: str) -> dict[str, bytes]:
    """The one document of all categories, under the identifier "all"."""
    return {"all": encode({"results": queries.list_categories(using), "next": None})}


def load_orders_of(identifier: str, page: int, limit: int, using: str) -> tuple[int, list[dict]]:
    """identifier: of a user."""
    total, rows = queries.list_orders(user_id=UUID(identifier), offset=(page - 1) * limit, limit=limit, using=using)
    return total, list(map(order_document, rows))


def load_all_orders(identifier: str, page: int, limit: int, using: str) -> tuple[int, list[dict]]:
    """identifier: "/" and a status; "/" alone is all of them."""
    status = identifier.removeprefix("/")
    total, rows = queries.list_orders(status=status, offset=(page - 1) * limit, limit=limit, using=using)
    return total, list(map(order_document, rows))


products = Entities(resource="orders", scope="product", name="product", load=load_products, ttl=TTL)
categories = Entities(resource="orders", scope="categories", name="list", load=load_categories, ttl=TTL)
products_of_category = Lists(
    resource="orders", scope="products", name="category", load=load_products_of, order=UUID, ttl=TTL
)
# A customer's own, and the staff's: different keys, so that one can never answer for the other.
orders_of_user = Pages(resource="orders", scope="list", load=load_orders_of, ttl=ORDERS_TTL)
all_orders = Pages(resource="orders", scope="all", load=load_all_orders, ttl=ORDERS_TTL)


@makes_stale(CategorySaved)
def products_in_it(event: CategorySaved) -> Iterator[str]:
    """A product shows its category's name and path."""
    before = None
    while ids := queries.list_ids_in_category(path=event.path, before=before, limit=FAN_OUT, using=routing.PRIMARY):
        yield from map(product_key, ids)
        before = ids[-1]
