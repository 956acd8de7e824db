"""Reads of orders: each sees their own, staff see all; somebody else's order is not there."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from orders import fragments, queries
from orders.api.schemas import OrderAnswer
from orders.documents import order_fragment
from orders.models import Status
from socialapp.cqrs.cursors import invalid_parameter
from socialapp.cqrs.fragments import Fragment, Pages
from socialapp.cqrs.http.numbered import PRIVATE, NumberedRead, numbered_page_of
from socialapp.cqrs.http.pages import DEFAULT_LIMIT, LARGEST_LIMIT
from socialapp.cqrs.http.reads import not_modified
from socialapp.cqrs.problems import Forbidden, NotFound
from socialapp.cqrs.routing import read_with
from socialapp.identity.authentication import Bearer

PARAMETERS = [
    OpenApiParameter("page", int, description="from 1"),
    OpenApiParameter("limit", int, description=f"1 to {LARGEST_LIMIT}, default {DEFAULT_LIMIT}"),
    OpenApiParameter("scope", str, enum=["all"], description="everybody's; for staff"),
    OpenApiParameter("status", str, enum=Status.values, description="with `scope=all`"),
]


def visible_order(order_id: UUID, user: Bearer) -> Fragment:
    """Raises NotFound."""
    return order_fragment(read_with(lambda using: visible_row(order_id, user, using)).result)


def visible_row(order_id: UUID, user: Bearer, using: str) -> dict:
    """Of queries.get_orders. Raises NotFound, also for somebody else's."""
    found = queries.get_orders([order_id], using)
    if not found or not (user.is_staff or found[0]["user_id"] == user.pk):
        raise NotFound("There is no such order.")
    return found[0]


def require_visible(order_id: UUID, user: Bearer) -> None:
    """Raises NotFound, as `visible_row` does. For those who are about to work on an order: it reads one column."""
    owner = read_with(lambda using: queries.get_owner(order_id, using)).result
    if owner is None or not (user.is_staff or owner == user.pk):
        raise NotFound("There is no such order.")


class ReadOrders(NumberedRead):
    kind = "order"
    filters = ("scope", "status")

    def list_of(self, user: Bearer, request: HttpRequest) -> tuple[Pages, str]:
        """Whose it is comes from who asks alone; parameters are for staff."""
        scope, status = request.GET.get("scope"), request.GET.get("status")
        if scope is None and status is None:
            return fragments.orders_of_user, str(user.pk)
        if not user.is_staff:
            raise Forbidden("Only staff sees the orders of others; without `scope` and `status` these are your own.")
        if scope != "all":
            raise invalid_parameter("scope", "`all` is the only one; `status` narrows that.")
        if status and status not in Status.values:
            raise invalid_parameter("status", f"One of {', '.join(Status.values)}.")
        return fragments.all_orders, f"/{status or ''}"

    @extend_schema(operation_id="orders_list", parameters=PARAMETERS, responses=numbered_page_of(OrderAnswer))
    def get(self, request):
        return super().get(request)


class ReadOrder(GenericAPIView):
    kind = "order"
    permission_classes = [IsAuthenticated]

    @extend_schema(responses=OrderAnswer)
    def get(self, request, order_id):
        fragment = visible_order(order_id, request.user)
        headers = {"ETag": fragment.etag.decode()} | PRIVATE
        if not_modified(request.META, headers["ETag"]):
            return HttpResponse(status=304, headers=headers)
        return Response(fragment.body, headers=headers)
