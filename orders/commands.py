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


@command("product")
class AddProductImage:
    """Behind those that there are. file: a name in the default storage. Sizes in pixels."""

    file: str
    width: int
    height: int
    alt: str = ""


@command("product")
class ArrangeProductImages:
    """files: in their new order, with a text each. Those that are named nowhere follow, as they were."""

    files: tuple[str, ...]
    alts: tuple[str, ...]
    removed: tuple[str, ...] = ()


@command("order")
class PlaceOrder:
    """items: "product_id quantity" each, merged per product. payment_token: names a way to pay at the gateway, once."""

    items: tuple[str, ...]
    payment_type: str
    payment_token: str
    address_id: str | None = None


@command("order")
class ChangeOrder:
    """What is None or empty stays. expected_version: refused as stale when the order has another one."""

    items: tuple[str, ...] = ()
    address_id: str | None = None
    status: str | None = None
    expected_version: int | None = None
    as_staff: bool = False


@command("order")
class CancelOrder:
    """Stock returns, and what was paid is refunded."""

    reason: str
    expected_version: int | None = None
    as_staff: bool = False


@command("order")
class StartPayment:
    """Commit to an attempt at the order's present total, before the gateway is asked."""


@command("order")
class ClaimAttempt:
    """Whoever claims an attempt that is due asks the gateway; for a while it is nobody else's."""

    attempt_id: str


@command("order")
class RecordPayment:
    """What the gateway has said. outcome: charged, declined, unknown or refunded; reason: for people."""

    attempt_id: str
    outcome: str
    reference: str = ""
    reason: str = ""


@command("order")
class HastenAttempt:
    """Have the gateway asked again now, and not when its time comes."""

    attempt_id: str


@command("order")
class ExpireOrder:
    """Not paid in time: its stock is for others."""


@command("address")
class AddAddress:
    """The actor's own. country: ISO 3166-1 alpha-2. The first one is the default in any case."""

    name: str
    line1: str
    city: str
    country: str
    line2: str = ""
    region: str = ""
    postcode: str = ""
    is_default: bool = False


@command("address")
class EditAddress:
    """None leaves a field as it is."""

    name: str | None = None
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    region: str | None = None
    postcode: str | None = None
    country: str | None = None
    is_default: bool | None = None


@command("address")
class DeleteAddress:
    """Of the others the newest becomes the default, if this was it."""


@command("email")
class SendRefusedEmail:
    """Ask the mail server again for one that it has refused for good. position: of the email's event."""

    position: int
