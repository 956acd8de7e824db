"""Plain rows of the shop, from the database that the caller names. Lists are keyset pages, never OFFSET."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.search import SearchQuery
from django.db import connections
from django.db.models import Func, OuterRef, Q, QuerySet, Subquery, TextField
from django.db.models.functions import Cast, JSONObject

from orders.models import SEARCHED, Address, Category, Order, OrderAddress, OrderItem, Product, ProductImage
from orders.models.address import SHOWN as ADDRESS
from orders.models.order import SHOWN as ORDER

PRODUCT = (
    "id", "sku", "name", "description", "price", "currency", "stock", "is_sold", "version",
    "category_id", "category__name", "category__path",
)  # fmt: skip

# Read in the statement of their order: of two statements, the second may see lines that the first order never had.
# The price is text, as Python reads JSON's numbers as floats.
LINES = (
    OrderItem.objects.filter(order=OuterRef("pk"))
    .order_by("product_id")
    .values(
        line=JSONObject(
            product_id="product_id",
            sku="sku",
            name="name",
            quantity="quantity",
            unit_price=Cast("unit_price", TextField()),
        )
    )
)
PICTURES = (
    ProductImage.objects.filter(product=OuterRef("pk"))
    .order_by("position")
    .values(image=JSONObject(file="file", alt="alt", width="width", height="height"))
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list of products is narrowed to. path: of a category, with all below it; "" is every product."""

    path: str = ""
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    words: str = ""

    @property
    def is_category(self) -> bool:
        """Nothing but a category, or everything: such lists are cached."""
        return self == Wanted(self.path)


def get_products(product_ids: Sequence[str], using: str) -> list[dict]:
    """Products by id, for sale or not; `pictures` are {file, alt, width, height}, in their order."""
    products = Product.objects.using(using).filter(pk__in=product_ids)
    return list(products.values(*PRODUCT, pictures=ArraySubquery(PICTURES)))


def list_categories(using: str) -> list[dict]:
    """All, parents before their children."""
    return list(Category.objects.using(using).order_by("path").values("id", "parent_id", "name", "path"))


def has_category(path: str, using: str) -> bool:
    return Category.objects.using(using).filter(path=path).exists()


def list_products(wanted: Wanted, *, before: UUID | None, limit: int, using: str) -> list[UUID]:
    """Ids of what is sold, newest first."""
    products = Product.objects.using(using).filter(is_sold=True)
    if wanted.path:
        products = products.filter(_in_subtree(wanted.path))
    if wanted.min_price is not None:
        products = products.filter(price__gte=wanted.min_price)
    if wanted.max_price is not None:
        products = products.filter(price__lte=wanted.max_price)
    if wanted.words:
        query = SearchQuery(wanted.words, search_type="websearch", config="simple")
        products = products.annotate(searched=SEARCHED).filter(searched=query)
    return _ids_before(products, before, limit)


def has_a_word_to_find(words: str, using: str) -> bool:
    """Whether an index can answer a search: in each of its alternatives one word must be there. What only leaves words
    out would be compared with every product (https://www.postgresql.org/docs/18/textsearch-features.html, querytree).
    """
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT querytree(websearch_to_tsquery('simple', %s)) NOT IN ('', 'T')", [words])
        return cursor.fetchone()[0]


def list_ids_in_category(*, path: str, before: UUID | None, limit: int, using: str) -> list[UUID]:
    """Ids of a subtree's products, for sale or not, for invalidation in batches."""
    return _ids_before(Product.objects.using(using).filter(_in_subtree(path)), before, limit)


def _in_subtree(path: str) -> Q:
    return Q(category__path=path) | Q(category__path__startswith=f"{path}/")


def _ids_before(rows: QuerySet, before: UUID | None, limit: int) -> list[UUID]:
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows.order_by("-pk").values_list("pk", flat=True)[:limit])


def get_orders(order_ids: Sequence[UUID], using: str) -> list[dict]:
    """Orders by id with their lines in `items`; in no order."""
    return [_with_lines(row) for row in _rows(Order.objects.using(using).filter(pk__in=order_ids))]


def get_owner(order_id: UUID, using: str) -> UUID | None:
    """The id of the user whose order it is; None when there is no such order."""
    return Order.objects.using(using).filter(pk=order_id).values_list("user_id", flat=True).first()


def list_orders(
    *, user_id: UUID | None = None, status: str = "", offset: int, limit: int, using: str
) -> tuple[int, list[dict]]:
    """(how many there are, those of one page with their lines, newest first). None and "" are everybody's and any.

    One statement, so that a page holds no order that has left its list; two for a page past the end.
    """
    orders = Order.objects.using(using)
    if user_id is not None:
        orders = orders.filter(user_id=user_id)
    if status:
        orders = orders.filter(status=status)
    of_all = Subquery(orders.annotate(counted=Func("pk", function="count")).values("counted"))
    rows = list(_rows(orders.order_by("-pk"), of_all=of_all)[offset : offset + limit])
    return rows[0]["of_all"] if rows else orders.count(), [_with_lines(row) for row in rows]


def _rows(orders: QuerySet, **more: Subquery) -> QuerySet:
    return orders.values(*ORDER, lines=ArraySubquery(LINES), **more)


def _with_lines(row: dict) -> dict:
    items = [
        line | {"product_id": UUID(line["product_id"]), "unit_price": Decimal(line["unit_price"])}
        for line in row["lines"]
    ]
    return {name: row[name] for name in ORDER} | {"items": items}


def get_order_addresses(order_ids: Sequence[UUID], using: str) -> dict[str, dict]:
    """Where orders went to, by the names that events give to addresses."""
    found = OrderAddress.objects.using(using).filter(order__in=order_ids)
    return {str(address_id): address for address_id, address in found.values_list("pk", "address")}


def list_addresses(user_id: UUID, using: str) -> list[dict]:
    """All of a user's, the default first, then the newest. There are never many."""
    addresses = Address.objects.using(using).filter(user_id=user_id)
    return list(addresses.order_by("-is_default", "-pk").values(*ADDRESS))


def get_address(user_id: UUID, address_id: UUID, using: str) -> dict | None:
    """{id, name, line1, line2, city, region, postcode, country, is_default}, if it is this user's."""
    return Address.objects.using(using).filter(user_id=user_id, pk=address_id).values(*ADDRESS).first()
