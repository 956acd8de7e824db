"""Writes of the shop: each validates the shape of its body and executes one command, at once."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from orders.api import schemas
from orders.api.read import PRIVATE, own_address
from orders.commands import AddAddress, DeleteAddress, EditAddress
from socialapp.cqrs.execute import Executed, execute
from socialapp.cqrs.http import resources
from socialapp.cqrs.http.freshness import remember
from socialapp.cqrs.http.resources import Resource
from socialapp.cqrs.http.schemas import Nothing
from socialapp.cqrs.http.writes import CommandView, idempotency_key, presented_token
from socialapp.cqrs.submit import fingerprint_of

ADDRESS = resources.declare(Resource("address", route="address", entities=None))


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
            idempotency_key=idempotency_key(request),
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
        document = own_address(request.user.pk, executed.resource_id)
        location = resources.href(request, ADDRESS.type, executed.resource_id)
        return self.answer(executed, document, success=status.HTTP_201_CREATED, Location=location)


class WriteAddress(ExecutingView):
    serializer_class = schemas.NewAddress

    @extend_schema(request=schemas.NewAddress(partial=True), responses={200: schemas.AddressAnswer})
    def patch(self, request, address_id):
        executed = self.execute(EditAddress(**self.validated(schemas.NewAddress, partial=True)), address_id)
        return self.answer(executed, own_address(request.user.pk, address_id), success=status.HTTP_200_OK)

    @extend_schema(request=None, responses={204: None})
    def delete(self, request, address_id):
        self.validated(Nothing)
        return self.answer(self.execute(DeleteAddress(), address_id), None, success=status.HTTP_204_NO_CONTENT)
