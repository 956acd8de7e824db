"""How a request proves who it is: a bearer token for programs, a session with CSRF for browsers."""

from dataclasses import dataclass
from uuid import UUID

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed

from socialapp.identity.signing import InvalidToken, verify_access


@dataclass(frozen=True, slots=True)
class Bearer:
    """The user of an access token, from its claims alone: no query."""

    pk: UUID
    username: str
    is_staff: bool

    is_authenticated = True
    is_active = True
    is_anonymous = False

    @property
    def id(self) -> UUID:
        return self.pk

    def __str__(self):
        return self.username


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer <access token>`. Anything else in that header is 401, also where reading is public."""

    def authenticate(self, request):
        header = request.META.get("HTTP_AUTHORIZATION")
        if header is None:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise AuthenticationFailed("Send `Authorization: Bearer <access token>`.")
        try:
            claims = verify_access(token.strip())
        except InvalidToken as error:
            raise AuthenticationFailed("The access token is not valid or has expired.", code="invalid_token") from error
        return Bearer(UUID(claims["sub"]), claims["username"], claims["staff"]), claims

    def authenticate_header(self, request):
        return 'Bearer realm="socialapp"'


class BrowserAuthentication(SessionAuthentication):
    """Django's session, with CSRF checked on every write."""


class BearerScheme(OpenApiAuthenticationExtension):
    target_class = BearerAuthentication
    name = "bearer"

    def get_security_definition(self, auto_schema):
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class BrowserScheme(OpenApiAuthenticationExtension):
    target_class = BrowserAuthentication
    name = "session"

    def get_security_definition(self, auto_schema):
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}
