"""Lines of an order as text, for commands and events, which hold only primitives. Money is decimal throughout."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from orders.models import MOST_OF_ONE, OrderItem
from orders.money import MOST
from socialapp.cqrs.problems import Invalid


@dataclass(slots=True)
class Shelved:
    """A locked product: what selling it needs to know. pk: its id."""

    pk: UUID
    sku: str
    name: str
    price: Decimal
    currency: str
    stock: int
    is_sold: bool
    sequence: int


@dataclass(frozen=True, slots=True)
class Line:
    """A product as it is sold. unit_price: at the time of the order, in the order's currency."""

    product_id: UUID
    quantity: int
    unit_price: Decimal
    sku: str
    name: str

    @property
    def total(self) -> Decimal:
        return self.quantity * self.unit_price

    def encode(self) -> str:
        return f"{self.product_id} {self.quantity} {self.unit_price} {self.sku} {self.name}"

    @classmethod
    def decode(cls, text: str) -> "Line":
        product_id, quantity, unit_price, sku, name = text.split(" ", 4)
        return cls(UUID(product_id), int(quantity), Decimal(unit_price), sku, name)

    @classmethod
    def of(cls, item: OrderItem) -> "Line":
        return cls(item.product_id, item.quantity, item.unit_price, item.sku, item.name)


def split(item: str) -> tuple[UUID, int]:
    """Of "product_id quantity"."""
    product_id, quantity = item.split(" ")
    return UUID(product_id), int(quantity)


def wanted(items: Iterable[str]) -> dict[UUID, int]:
    """Units by product; several items of one product are added up. Raises Invalid."""
    units: dict[UUID, int] = {}
    for product_id, quantity in map(split, items):
        units[product_id] = units.get(product_id, 0) + quantity
    if too_many := [product_id for product_id, quantity in units.items() if quantity > MOST_OF_ONE]:
        raise Invalid(f"At most {MOST_OF_ONE} of {too_many[0]} in one order.")
    return units


def lines_of(units: dict[UUID, int], products: dict[UUID, Shelved]) -> list[Line]:
    """At the products' present prices."""
    found = [(products[product_id], quantity) for product_id, quantity in sorted(units.items())]
    return [Line(product.pk, quantity, product.price, product.sku, product.name) for product, quantity in found]


def total_of(lines: Sequence[Line]) -> Decimal:
    """Raises Invalid for more than a column of money holds."""
    total = sum((line.total for line in lines), Decimal("0.00"))
    if total > MOST:
        raise Invalid(f"An order is worth {MOST} at most.")
    return total
