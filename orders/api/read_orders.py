"""Reads of orders: each sees their own, staff see all; somebody else's order is not there."""

from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from orders import queries
from orders.api.schemas import OrderAnswer
from orders.documents import order_fragment
from socialapp.cqrs.fragments import Fragment
from socialapp.cqrs.http.reads import not_modified
from socialapp.cqrs.problems import NotFound
from socialapp.cqrs.routing import read_with
from socialapp.identity.authentication import Bearer

PRIVATE = "private, no-cache"


def visible_order(order_id: UUID, user: Bearer) -> Fragment:
    """Raises NotFound."""
    found = read_with(lambda using: queries.get_orders([order_id], using)).result
    if not found or not (user.is_staff or found[0]["user_id"] == user.pk):
        raise NotFound("There is no such order.")
    return order_fragment(found[0])


class ReadOrder(GenericAPIView):
    permission_classes = [IsAuthenticated]

    @extend_schema(responses=OrderAnswer)
    def get(self, request, order_id):
        fragment = visible_order(order_id, request.user)
        headers = {"ETag": fragment.etag.decode(), "Vary": "Accept, Authorization, Cookie", "Cache-Control": PRIVATE}
        if not_modified(request.META, headers["ETag"]):
            return HttpResponse(status=304, headers=headers)
        return Response(fragment.body, headers=headers)
