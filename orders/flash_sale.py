"""A flash sale as a drill: many buyers, few units, all at once through the gateway; and then the books."""

import http.client
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import local
from urllib.parse import SplitResult
from uuid import UUID

import orjson
from django.db.models import Sum
from django.utils.timezone import now

from orders.commands import AddProduct, EditProduct
from orders.models import OrderItem, Product, Status
from socialapp.accounts.models import User
from socialapp.cqrs.execute import execute
from socialapp.cqrs.ids import new_id
from socialapp.identity.signing import sign_access
from socialapp.ops import seeding

# Seconds; longer than the gateway waits for a write server.
TIMEOUT = 30
# What says nothing of whether the order was placed: the same request with the same key is sent again.
UNDECIDED = (500, 502, 503, 504)
PAUSE = 0.2
GIVEN_BACK = (Status.CANCELLED, Status.PAYMENT_FAILED)


@dataclass(frozen=True, slots=True)
class Sale:
    """What is sold, and to whom. tokens: an access token for each buyer."""

    product_id: UUID
    stock: int
    tokens: list[str]


@dataclass(slots=True)
class Attempt:
    """One buyer's. outcome: "sold", "out of stock", or what else was the last answer. order_id: of what was sold.

    seconds: until the outcome was known. troubles: answers, or failures to get one, that were followed by a repeat.
    """

    outcome: str = ""
    order_id: str = ""
    seconds: float = 0.0
    troubles: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Books:
    """Units: what there was, what is left, what orders hold; and orders that were answered 201 but are not there."""

    start: int
    left: int
    sold: int
    lost: list[str]

    @property
    def balance(self) -> bool:
        return self.left + self.sold == self.start and self.left >= 0 and not self.lost


@contextmanager
def prepared(buyers: int, stock: int) -> Iterator[Sale]:
    """A product that is for sale for the time of the drill, and buyers with accounts that nobody can log in to."""
    described = {"sku": f"FLASH-{secrets.token_hex(4)}", "name": "Flash sale", "price": "9.99", "currency": "EUR"}
    tokens = _accounts(buyers)
    product_id = execute(AddProduct(**described, stock=stock), actor_id=None).resource_id
    try:
        yield Sale(product_id, stock, tokens)
    finally:
        execute(EditProduct(**described, is_sold=False), actor_id=None, resource_id=product_id)


def _accounts(buyers: int) -> list[str]:
    """Access tokens of new users. By COPY, as `seed` makes its users."""
    stem, joined = secrets.token_hex(4), now()
    rows = [(new_id(), f"buyer_{stem}_{number}", "A buyer", "", "!", joined, 1) for number in range(buyers)]
    columns = ("id", "username", "name", "bio", "password", "date_joined", "sequence")
    for start in range(0, buyers, seeding.BATCH):
        seeding.copy(User, columns, rows[start : start + seeding.BATCH])
    return [sign_access(user_id=row[0], username=row[1], is_staff=False) for row in rows]


def run(sale: Sale, at: SplitResult, *, at_once: int, repeats: int, told: Callable[[], object]) -> list[Attempt]:
    """Let every buyer buy one unit, `at_once` of them at a time. told() is called after each."""
    here = local()

    def one(token: str) -> Attempt:
        if not hasattr(here, "connection"):
            here.connection = http.client.HTTPConnection(at.hostname, at.port, timeout=TIMEOUT)
        attempt = _buy(here.connection, sale.product_id, token, repeats)
        told()
        return attempt

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, sale.tokens))


def _buy(connection: http.client.HTTPConnection, product_id: UUID, token: str, repeats: int) -> Attempt:
    attempt, began, key = Attempt(), time.monotonic(), secrets.token_hex(16)
    for repeat in range(repeats + 1):
        time.sleep(PAUSE * repeat)
        status, document = _post(connection, product_id, token, key)
        attempt.outcome, attempt.order_id = _outcome(status, document), document.get("id", "")
        if status and status not in UNDECIDED:
            break
        attempt.troubles[attempt.outcome] += 1
    attempt.seconds = time.monotonic() - began
    return attempt


def _post(connection: http.client.HTTPConnection, product_id: UUID, token: str, key: str) -> tuple[int, dict]:
    """(status, document); (0, {}) when no answer came."""
    body = orjson.dumps({"items": [{"product_id": product_id, "quantity": 1}]})
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key, "Content-Type": "application/json"}
    try:
        connection.request("POST", "/api/v1/orders", body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0, {}
    is_json = "json" in answer.headers.get("Content-Type", "")
    return answer.status, orjson.loads(content) if is_json else {}


def _outcome(status: int, document: dict) -> str:
    if status == http.client.CREATED:
        return "sold"
    if document.get("code") == "out_of_stock":
        return "out of stock"
    return f"{status} {document.get('code', '')}".strip() if status else "no answer"


def books(sale: Sale, attempts: list[Attempt]) -> Books:
    """From the primary, whatever the caches say."""
    items = OrderItem.objects.using("default").filter(product=sale.product_id).select_related(None)
    kept = items.exclude(order__status__in=GIVEN_BACK)
    there = {str(order_id) for order_id in items.values_list("order_id", flat=True)}
    return Books(
        start=sale.stock,
        left=Product.objects.using("default").get(pk=sale.product_id).stock,
        sold=kept.aggregate(units=Sum("quantity"))["units"] or 0,
        lost=[attempt.order_id for attempt in attempts if attempt.outcome == "sold" and attempt.order_id not in there],
    )
