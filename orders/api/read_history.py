"""The history of an order, for whom it belongs to and for staff."""

from datetime import datetime
from itertools import takewhile
from uuid import UUID

from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import OpenApiParameter, extend_schema

from orders import queries
from orders.api.read import PrivateRead
from orders.api.read_orders import visible_row
from orders.api.schemas import OrderHistoryAnswer
from orders.documents import event_document, state_document
from orders.history import NotFoldable, state_after
from socialapp.cqrs import events
from socialapp.cqrs.cursors import invalid_parameter
from socialapp.cqrs.events import Recorded
from socialapp.cqrs.problems import Gone, NotFound
from socialapp.cqrs.routing import read_with

AT = OpenApiParameter("at", datetime, description="adds `state`, the order as it was then; later events are left out")


class ReadOrderEvents(PrivateRead):
    @extend_schema(operation_id="orders_events_list", parameters=[AT], responses=OrderHistoryAnswer)
    def get(self, request, order_id):
        at = time_of(request.GET.get("at"))
        # One database for all of it, so that no event is shown whose order or address is not there yet.
        return self.private(read_with(lambda using: history(order_id, request.user, at, using)).result)


def history(order_id: UUID, user: object, at: datetime | None, using: str) -> dict:
    """{"results"}, oldest first; and with `at` what happened until then, and "state". Raises NotFound or Gone."""
    row = visible_row(order_id, user, using)
    recorded = list(events.history([order_id], using=using))
    addresses = queries.get_order_addresses([order_id], using)
    if at is not None:
        # By versions first: clocks of servers may differ, and nothing has happened before its cause.
        recorded = list(takewhile(lambda one: one.time <= at, recorded))
    shown = {"results": [event_document(one, row["currency"], addresses) for one in recorded]}
    if at is None:
        return shown
    if at < row["created_at"]:
        raise NotFound(f"This order was placed at {row['created_at'].isoformat()}; before, there was none.")
    return shown | {"state": state_document(_state(recorded), addresses)}


def _state(recorded: list[Recorded]):
    """Raises Gone."""
    try:
        state = state_after(recorded)
    except NotFoldable:
        state = None
    if state is None:
        raise Gone("The events from which this could be told are not kept any more.", code="history_gone")
    return state


def time_of(text: str | None) -> datetime | None:
    """RFC 3339. Raises Problem for what is no time, or has no zone."""
    if text is None:
        return None
    try:
        # In a query, a plus that is not escaped is a space.
        found = parse_datetime(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise invalid_parameter("at", "A time with its zone, as 2026-01-15T11:00:00Z.")
    return found
