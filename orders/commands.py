"""What can be asked of the shop. Money is text, "12.50": it never passes through a float."""

from socialapp.cqrs.commands import command


@command("category")
class SaveCategory:
    """Add a category, or change the one whose id it is."""

    name: str
    slug: str
    parent_id: str | None = None


@command("product")
class AddProduct:
    sku: str
    name: str
    price: str
    currency: str
    description: str = ""
    category_id: str | None = None
    is_sold: bool = True
    low_stock: int = 5
    stock: int = 0


@command("product")
class EditProduct:
    """All of a product but its stock and its pictures."""

    sku: str
    name: str
    price: str
    currency: str
    description: str = ""
    category_id: str | None = None
    is_sold: bool = True
    low_stock: int = 5


@command("product")
class CorrectStock:
    """What was counted, delivered, broken or stolen. difference: units, not 0."""

    difference: int
    reason: str
