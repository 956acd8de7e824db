"""Writes of the shop: each validates the shape of its body and executes one command, at once.

Changing and cancelling an order also take a lock.
"""

from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response

from orders.api import schemas
from orders.api.read import PRIVATE, own_address
from orders.api.read_orders import require_visible, visible_order
from orders.commands import AddAddress, CancelOrder, ChangeOrder, DeleteAddress, EditAddress, PlaceOrder
from orders.documents import order_fragment
from orders.payments import notices
from socialapp.cqrs.execute import Executed, execute
from socialapp.cqrs.fragments import version_of
from socialapp.cqrs.http import resources
from socialapp.cqrs.http.freshness import remember
from socialapp.cqrs.http.resources import Resource
from socialapp.cqrs.http.schemas import Nothing
from socialapp.cqrs.http.writes import CommandView, idempotency_key, presented_token
from socialapp.cqrs.locks import exclusive
from socialapp.cqrs.problems import Problem, Stale
from socialapp.cqrs.submit import fingerprint_of

ADDRESS = resources.declare(Resource("address", route="address", entities=None))
ORDER = resources.declare(Resource("order", route="order", entities=None))
KEY = OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, required=True)
MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="the ETag of the order that was read")
APPROVED = {"type": "sandbox", "token": "approve"}


class ExecutingView(CommandView):
    """Base of the views whose command is carried out before the answer."""

    permission_classes = [IsAuthenticated]

    def execute(self, command: object, resource_id: UUID | None = None) -> Executed:
        """As the request's user. Raises the Problem of a refusal."""
        request = self.request
        return execute(
            command,
            actor_id=request.user.pk,
            resource_id=resource_id,
            idempotency_key=idempotency_key(request) or key_of_page(request),
            fingerprint=fingerprint_of(request.method, request.path, request.data),
            token=presented_token(request),
        )

    def answer(self, executed: Executed, document: dict | None, *, success: int, **headers: str) -> Response:
        response = Response(document, status=success, headers=PRIVATE | headers)
        remember(self.request, response, executed.token)
        if executed.replayed:
            response["Idempotent-Replayed"] = "true"
        return response


class WriteAddresses(ExecutingView):
    serializer_class = schemas.NewAddress

    @extend_schema(request=schemas.NewAddress, responses={201: schemas.AddressAnswer})
    def post(self, request):
        executed = self.execute(AddAddress(**self.validated(schemas.NewAddress)))
        document = executed.answer or own_address(request.user.pk, executed.resource_id)
        location = resources.href(request, ADDRESS.type, executed.resource_id)
        return self.answer(executed, document, success=status.HTTP_201_CREATED, Location=location)


class WriteAddress(ExecutingView):
    serializer_class = schemas.NewAddress

    @extend_schema(request=schemas.NewAddress(partial=True), responses={200: schemas.AddressAnswer})
    def patch(self, request, address_id):
        executed = self.execute(EditAddress(**self.validated(schemas.NewAddress, partial=True)), address_id)
        document = executed.answer or own_address(request.user.pk, address_id)
        return self.answer(executed, document, success=status.HTTP_200_OK)

    @extend_schema(request=None, responses={204: None})
    def delete(self, request, address_id):
        self.validated(Nothing)
        return self.answer(self.execute(DeleteAddress(), address_id), None, success=status.HTTP_204_NO_CONTENT)


class OrderWrite(ExecutingView):
    def shown(self, executed: Executed, *, success: int, **headers: str) -> Response:
        if executed.answer:
            fragment = order_fragment(executed.answer)
        else:
            fragment = visible_order(executed.resource_id, self.request.user)
        return self.answer(executed, fragment.body, success=success, ETag=fragment.etag.decode(), **headers)

    def expected_version(self, named: int | None = None) -> int | None:
        """The version in If-Match, or the one that the body names. Raises Stale for what is no ETag of ours."""
        match = self.request.META.get("HTTP_IF_MATCH")
        if match is None or match.strip() == "*":
            return named
        version = version_of(match)
        if version is None:
            raise Stale("If-Match is not the ETag of this order.")
        return version


class WriteOrders(OrderWrite):
    serializer_class = schemas.NewOrder

    @extend_schema(request=schemas.NewOrder, responses={201: schemas.OrderAnswer}, parameters=[KEY])
    def post(self, request):
        body = self.validated(schemas.NewOrder)
        if not (idempotency_key(request) or key_of_page(request)):
            raise Problem("An Idempotency-Key makes a repeated order the same order.", code="idempotency_key_required")
        method = payment_method(body)
        address = body.get("address_id")
        command = PlaceOrder(_items(body["items"]), method["type"], method["token"], address and str(address))
        executed = self.execute(command)
        location = resources.href(request, ORDER.type, executed.resource_id)
        return self.shown(executed, success=status.HTTP_201_CREATED, Location=location)


class WriteOrder(OrderWrite):
    serializer_class = schemas.OrderChange
    # Seconds that a change waits for another one to end, before it is 409 `locked`.
    patience = 0.0

    @extend_schema(request=schemas.OrderChange, responses=schemas.OrderAnswer, parameters=[MATCH])
    def put(self, request, order_id):
        body = self.validated(schemas.OrderChange)
        address = body.get("address_id")
        command = ChangeOrder(
            items=_items(body.get("items", ())),
            address_id=address and str(address),
            status=body.get("status"),
            expected_version=self.expected_version(body.get("version")),
            as_staff=request.user.is_staff,
        )
        return self.change(command, order_id)

    @extend_schema(request=None, responses=schemas.OrderAnswer, parameters=[MATCH])
    def delete(self, request, order_id):
        self.validated(Nothing)
        is_staff = request.user.is_staff
        command = CancelOrder("by staff" if is_staff else "by the customer", self.expected_version(), is_staff)
        return self.change(command, order_id)

    def change(self, command, order_id):
        # Before the lock: who only knows an order's id must not hold it against the order's owner.
        require_visible(order_id, self.request.user)
        with exclusive("order", order_id, patience=self.patience):
            executed = self.execute(command, order_id)
        return self.shown(executed, success=status.HTTP_200_OK)


def key_of_page(request) -> str | None:
    """A page of the browsable API has no key to send, but a CSRF token that no other page has: its form, sent twice, is
    sent once. What was changed in it is another request."""
    token = request.META.get("HTTP_X_CSRFTOKEN")
    if token is None or request.auth is not None:
        return None
    return f"page:{fingerprint_of(token, request.method, request.path, request.data)}"


class WritePaymentNotice(GenericAPIView):
    """Whoever can sign may speak: there is nobody to log in. The body is read as it was signed, byte by byte."""

    authentication_classes = ()
    permission_classes = [AllowAny]
    serializer_class = Nothing

    @extend_schema(request=OpenApiTypes.OBJECT, responses={200: schemas.NoticeAnswer})
    def post(self, request):
        notices.heed(request.body, request.headers)
        return Response({"received": True}, headers=PRIVATE)


def payment_method(body: dict) -> dict:
    """Raises Problem when there is none and money would have to move."""
    method = body.get("payment_method")
    if method is None and settings.PAYMENT_GATEWAY != "sandbox":
        raise Problem("Say how the order is to be paid.", code="payment_method_required")
    return method or APPROVED


def _items(items: Iterable[dict]) -> tuple[str, ...]:
    return tuple(f"{item['product_id']} {item['quantity']}" for item in items)
