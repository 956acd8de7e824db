"""What happened to an order, for operators: each event with who caused it, as a timeline on the order's page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.contrib.auth import get_user_model

from orders.events import OrderCancelled, OrderDelivered, OrderPaid, OrderPaymentFailed, OrderShipped
from orders.lines import Line
from orders.models import Order
from orders.queries import get_order_addresses
from socialapp.cqrs import events
from socialapp.cqrs.events import Recorded
from socialapp.cqrs.models import CommandResult
from socialapp.cqrs.routing import PRIMARY

WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")
ADDRESS = ("name", "line1", "line2", "postcode", "city", "region", "country")
# Where an order is on, and where it goes wrong; the mark on the line says so.
GOOD = (OrderPaid, OrderShipped, OrderDelivered)
BAD = (OrderCancelled, OrderPaymentFailed)


@dataclass(slots=True)
class Step:
    """moved: (status before, status), if it changed. facts: (name, text) of what else the event tells."""

    title: str
    kind: str
    time: datetime
    version: int
    who: str
    moved: tuple[str, str] | None = None
    lines: list[Line] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)


def timeline_of(order: Order) -> list[Step]:
    """Oldest first. Raises Unavailable for an event that this process does not know yet."""
    recorded = list(events.history([order.pk], using=PRIMARY))
    who = _actors(order, [one.command_id for one in recorded])
    addresses = get_order_addresses([order.pk], PRIMARY)
    return [_step(one, order, who.get(one.command_id, ""), addresses) for one in recorded]


def _step(one: Recorded, order: Order, who: str, addresses: dict[str, dict]) -> Step:
    event = one.event
    words = WORD.split(type(event).__name__)
    step = Step(" ".join([words[0], *map(str.lower, words[1:])]), _kind(event), one.time, one.aggregate_version, who)
    if former := getattr(event, "former", ""):
        step.moved = (_words(former), _words(event.status))
    step.lines = [Line.decode(line) for line in getattr(event, "items", ())]
    if total := getattr(event, "total", ""):
        step.facts.append(("Total", f"{total} {order.currency}"))
    if payment := getattr(event, "payment", ""):
        step.facts.append(("Payment", _words(payment)))
    if address := getattr(event, "address", ""):
        step.facts.append(("Address", label(addresses.get(address))))
    if reason := getattr(event, "reason", ""):
        step.facts.append(("Reason", reason))
    if attempt := getattr(event, "attempt_id", ""):
        step.facts.append(("Attempt", attempt))
    return step


def _kind(event: object) -> str:
    return "good" if isinstance(event, GOOD) else "bad" if isinstance(event, BAD) else "plain"


def _words(choice: str) -> str:
    return choice.replace("_", " ")


def label(address: dict | None) -> str:
    """On one line; None is one that was erased."""
    return ", ".join(filter(None, (address[name] for name in ADDRESS))) if address else "erased"


def _actors(order: Order, command_ids: Sequence[UUID]) -> dict[UUID, str]:
    """By command: the customer, a name of the staff, or nobody."""
    results = CommandResult.objects.using(PRIMARY).filter(pk__in=command_ids)
    actors = dict(results.values_list("pk", "actor_id"))
    found = get_user_model().objects.using(PRIMARY).filter(pk__in={*actors.values()} - {None})
    names = dict(found.values_list("pk", "username"))
    return {command_id: _name(actor_id, order, names) for command_id, actor_id in actors.items()}


def _name(actor_id: UUID | None, order: Order, names: dict[UUID, str]) -> str:
    if actor_id is None:
        return "the system"
    name = names.get(actor_id, str(actor_id))
    return f"{name}, the customer" if actor_id == order.user_id else name
