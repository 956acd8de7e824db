"""The event consumer that writes to customers. A crash between sending and noting it down sends an email again."""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.core.mail.backends.base import BaseEmailBackend
from django.db.models import Count, Q
from django.db.models.functions import Now

from orders import queries
from orders.documents import order_document
from orders.emails import NAME
from orders.emails.messages import message
from orders.emails.wording import kind_of
from orders.models import OrderEmail
from socialapp.accounts.queries import get_emails
from socialapp.cqrs import parking, routing, server_time, servers
from socialapp.cqrs.events import Recorded
from socialapp.mail import delivery, rate
from socialapp.mail.delivery import Deferred, NotTaken

logger = logging.getLogger(__name__)

QUEUE = "outside"
# Of emails that the server does not take now: how often it is asked again, and for how long.
RETRY_AFTER = timedelta(minutes=10)
PATIENCE = timedelta(days=1)
# Nobody wants to read of it any more; and a consumer that is new begins with the oldest event.
OLD_NEWS = timedelta(days=7)
# To one customer, who has at most so many orders to hear of; the rest is noted as refused.
MOST = {timedelta(hours=1): 20, timedelta(days=1): 60}
# Seconds after which the rest is left to the next run: well below a consumer's lease.
LONGEST = 5.0


@dataclass(frozen=True, slots=True)
class Customer:
    """email: as registered; it may be a stranger's unless it was verified."""

    user_id: UUID
    email: str
    is_verified: bool


def send_emails(recorded: list[Recorded]) -> int:
    """Returns after how many events it stopped. Raises OutsideUnreachable."""
    began = time.monotonic()
    with delivery.connected() as connection:
        for one, order, customer in _due(recorded):
            _deal_with(one, order, customer, connection)
            if time.monotonic() - began > LONGEST:
                return recorded.index(one) + 1
    return len(recorded)


def _due(recorded: list[Recorded]) -> Iterator[tuple[Recorded, dict, Customer]]:
    """Events that are worth an email, with the order's document, and whom to send it to."""
    news = [one for one in recorded if kind_of(one.event)]
    if not news:
        return
    oldest = servers.primary_time() - OLD_NEWS
    news = [one for one in news if one.time > oldest]
    orders = _orders({one.aggregate_id for one in news})
    emails = get_emails([order["user_id"] for order in orders.values()], routing.PRIMARY)
    for one in news:
        order = orders.get(one.aggregate_id)
        if order and order["user_id"] in emails:
            email, is_verified = emails[order["user_id"]]
            yield one, order_document(order), Customer(order["user_id"], email, is_verified)


def _orders(order_ids: Iterable[UUID]) -> dict[UUID, dict]:
    return {order["id"]: order for order in queries.get_orders(list(order_ids), routing.PRIMARY)}


def _deal_with(one: Recorded, order: dict, customer: Customer, connection: BaseEmailBackend) -> None:
    # Asked for each: should the lease be lost, somebody else is at the same batch.
    if OrderEmail.objects.filter(pk=one.position, refusal="").exists():
        return
    if refusal := _why_not(customer):
        _note(one, order, refusal=refusal)
        return
    rate.wait()
    try:
        delivery.send(message(one, order, customer.email), connection)
        _note(one, order)
    except NotTaken as error:
        if isinstance(error, Deferred) and server_time.now() - one.time < PATIENCE:
            parking.park(NAME, one, error)
            return
        logger.warning("the email about event %d was refused: %s", one.position, error)
        _note(one, order, refusal=str(error))


def _why_not(customer: Customer) -> str:
    """Why this customer gets no email now; "" when nothing is against it."""
    if not customer.is_verified:
        return "not sent: the customer has not verified the address"
    since = {most: Count("pk", filter=Q(time__gt=Now() - span)) for span, most in MOST.items()}
    mine = OrderEmail.objects.filter(order__user_id=customer.user_id, refusal="", time__gt=Now() - max(MOST))
    counts = mine.aggregate(**{f"of_{most}": count for most, count in since.items()})
    reached = [most for most in MOST.values() if counts[f"of_{most}"] >= most]
    return f"not sent: the customer has had {reached[0]} emails lately" if reached else ""


def _note(one: Recorded, order: dict, refusal: str = "") -> None:
    news = {"order_id": order["id"], "kind": kind_of(one.event), "refusal": refusal[:500], "time": Now()}
    OrderEmail.objects.update_or_create(event_position=one.position, defaults=news)
