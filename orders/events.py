"""What has happened in the shop, and which cache keys that makes stale. Money is text, "12.50"."""

from socialapp.cqrs import keys
from socialapp.cqrs.events import event, makes_stale


@event("category", published=True)
class CategorySaved:
    """former_path: where it was before; "" when it is new."""

    category_id: str
    name: str
    path: str
    former_path: str


@event("product", published=True)
class ProductAdded:
    """stock: units to begin with. category_path: "" for none."""

    product_id: str
    sku: str
    name: str
    description: str
    price: str
    currency: str
    category_path: str
    is_sold: bool
    stock: int


@event("product", published=True)
class ProductEdited:
    """former_path: of the category it was in before."""

    product_id: str
    sku: str
    name: str
    description: str
    price: str
    currency: str
    category_path: str
    former_path: str
    is_sold: bool


@event("product", published=True)
class StockCorrected:
    """stock: units after it."""

    product_id: str
    difference: int
    stock: int
    reason: str


@event("product", published=True)
class ProductImagesChanged:
    """files: names in the storage, in their order. removed: those whose files are about to be deleted."""

    product_id: str
    files: tuple[str, ...]
    removed: tuple[str, ...]


@event("product", published=True)
class StockTaken:
    """By an order. stock: units after it."""

    product_id: str
    order_id: str
    quantity: int
    stock: int


@event("product", published=True)
class StockReturned:
    product_id: str
    order_id: str
    quantity: int
    stock: int


@event("order", published=True)
class OrderPlaced:
    """items: lines as orders/lines.py spells them. address_id: of an OrderAddress, "" for none.

    Who subscribes to events learns who orders what, and nobody's address.
    """

    order_id: str
    user_id: str
    number: int
    items: tuple[str, ...]
    total: str
    currency: str
    address_id: str
    status: str
    payment: str


@event("order", published=True)
class OrderItemsChanged:
    order_id: str
    user_id: str
    status: str
    items: tuple[str, ...]
    total: str


@event("order", published=True)
class OrderAddressChanged:
    order_id: str
    user_id: str
    status: str
    address_id: str


@event("order", published=True)
class OrderPaid:
    """former: the status before, as in all that follow."""

    order_id: str
    user_id: str
    status: str
    former: str
    payment: str


@event("order", published=True)
class OrderPaymentFailed:
    """reason: the gateway's, for people."""

    order_id: str
    user_id: str
    status: str
    former: str
    payment: str
    reason: str


@event("order", published=True)
class OrderShipped:
    order_id: str
    user_id: str
    status: str
    former: str


@event("order", published=True)
class OrderDelivered:
    order_id: str
    user_id: str
    status: str
    former: str


@event("order", published=True)
class OrderCancelled:
    """payment: "refunding" when money has to go back, "under_way" or "unknown" when it may have to."""

    order_id: str
    user_id: str
    status: str
    former: str
    payment: str
    reason: str


@event("order", published=True)
class PaymentMoved:
    """What became of the money while the order's status stayed. reason: the gateway's, "" for none."""

    order_id: str
    user_id: str
    status: str
    attempt_id: str
    payment: str
    reason: str


ORDER_EVENTS = (
    OrderPlaced, OrderItemsChanged, OrderAddressChanged, OrderPaid, OrderPaymentFailed, OrderShipped, OrderDelivered,
    OrderCancelled, PaymentMoved,
)  # fmt: skip


def product_key(product_id: object) -> str:
    return keys.entry("orders", "product", product_id)


def products_key(path: str) -> str:
    """The list of what is sold in a category and those below it; "" is everything."""
    return keys.entry("orders", "products", f"/{path}")


CATEGORIES = keys.entry("orders", "categories", "all")


def above(path: str) -> set[str]:
    """A category's path and those of all that it is in: "a/b" is in "a/b", "a" and ""."""
    parts = path.split("/") if path else []
    return {"/".join(parts[:depth]) for depth in range(len(parts) + 1)}


@makes_stale(CategorySaved)
def category_list(event: CategorySaved):
    yield CATEGORIES
    # Its own may have been remembered as one that does not exist; what is in it now counts for all above it.
    yield from map(products_key, above(event.path) | above(event.former_path))


@makes_stale(ProductAdded, ProductEdited, StockCorrected, StockTaken, StockReturned, ProductImagesChanged)
def product_entity(event):
    yield product_key(event.product_id)


@makes_stale(ProductAdded, ProductEdited)
def lists_of_the_product(event):
    paths = above(event.category_path) | above(getattr(event, "former_path", event.category_path))
    yield from map(products_key, paths)


def orders_key(user_id: str) -> str:
    """The list of a customer's orders."""
    return keys.entry("orders", "list", user_id)


def all_orders_key(status: str) -> str:
    """The staff's list of orders of a status; "" is all of them."""
    return keys.entry("orders", "all", f"/{status}")


@makes_stale(*ORDER_EVENTS)
def lists_of_the_order(event):
    yield orders_key(event.user_id)
    yield from map(all_orders_key, {"", event.status, getattr(event, "former", event.status)})


@event("address")
class AddressSaved:
    """Added, edited, or made the default or no longer. Who subscribes to events learns no address."""

    address_id: str
    user_id: str


@event("address")
class AddressDeleted:
    address_id: str
    user_id: str


@makes_stale(AddressSaved, AddressDeleted)
def addresses_are_not_cached(event):
    """Personal, and rarely asked for: they are read from a database."""
    return ()
