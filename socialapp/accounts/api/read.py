"""Reads of accounts."""

from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response

from socialapp.accounts import fragments, queries
from socialapp.accounts.api.schemas import OwnUserAnswer, UserAnswer
from socialapp.cqrs.http.reads import EntityRead
from socialapp.cqrs.problems import AccountGone
from socialapp.cqrs.routing import database_for_read, read_with
from socialapp.identity.signing import jwks


class ReadUser(EntityRead):
    """Somebody's profile."""

    name = "User"
    entities = fragments.users

    def identifier(self, username):
        return username.lower()

    @extend_schema(responses=UserAnswer)
    def get(self, request, **kwargs):
        return super().get(request, **kwargs)


def own_document(user_id) -> dict:
    """What a user sees of themselves. Raises AccountGone, or Unavailable when a replica may just not have it yet."""
    row = queries.get_own(user_id, database_for_read())
    if row is None:
        row = read_with(lambda using: queries.get_own(user_id, using), only_primary=True).result
    if row is None:
        raise AccountGone()
    return fragments.user_document(row) | {
        "email": row["email"],
        "email_verified": row["email_verified_at"] is not None,
    }


class ReadMe(GenericAPIView):
    permission_classes = [IsAuthenticated]

    @extend_schema(responses=OwnUserAnswer)
    def get(self, request):
        return Response(own_document(request.user.pk), headers={"Cache-Control": "private, no-store"})


class ReadKeys(GenericAPIView):
    """The public keys of access tokens, for whoever checks them elsewhere."""

    permission_classes = [AllowAny]
    authentication_classes = []

    @extend_schema(responses={200: dict}, tags=["auth"])
    def get(self, request):
        return Response(jwks(), headers={"Cache-Control": "public, max-age=300"})
