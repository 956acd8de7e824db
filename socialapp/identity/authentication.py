"""How a request proves who it is: a bearer token for programs, a session with CSRF for browsers."""

from dataclasses import dataclass
from uuid import UUID

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed

from socialapp.cqrs import roles
from socialapp.cqrs.http.guard import SAFE
from socialapp.identity.revocations import revocations
from socialapp.identity.signing import ExpiredToken, InvalidToken, verify_access

ENDED = "Your session has ended. Sign in again."


@dataclass(frozen=True, slots=True)
class Bearer:
    """The user of an access token that has not been revoked, from its claims: no query.

    was_staff: when the token was signed. session: its id, None for a token that belongs to none.
    """

    pk: UUID
    username: str
    was_staff: bool
    session: UUID | None = None

    is_authenticated = True
    is_active = True
    is_anonymous = False

    @property
    def id(self) -> UUID:
        return self.pk

    @property
    def is_staff(self) -> bool:
        """Loss of this right revokes the token. Raises Unavailable when it is not known whether that has happened."""
        if self.was_staff:
            revocations.require_current()
        return self.was_staff

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
        except ExpiredToken as error:
            raise AuthenticationFailed("The access token has expired.", code="token_expired") from error
        except InvalidToken as error:
            raise AuthenticationFailed("The access token is not valid.", code="invalid_token") from error
        return _unrevoked(request, claims), claims

    def authenticate_header(self, request):
        return 'Bearer realm="socialapp"'


def _unrevoked(request, claims: dict) -> Bearer:
    """The bearer of a valid token. Raises AuthenticationFailed when it was revoked.

    Without a recent list of revocations, reads go on with the last one; writes raise Unavailable.
    """
    if not revocations.is_current() and request.method not in SAFE:
        revocations.require_current()
    session = claims.get("sid")
    if revocations.copy.refuses(claims["sub"], claims.get("ver", 0), session):
        raise AuthenticationFailed(ENDED, code="token_revoked")
    return Bearer(UUID(claims["sub"]), claims["username"], claims["staff"], session and UUID(session))


class BrowserAuthentication(SessionAuthentication):
    """Django's session, with CSRF checked on every write. The write pool reads the user from the primary."""

    def authenticate(self, request):
        """In the read pool a replica may show the user as before a revocation: then nobody is signed in."""
        found = super().authenticate(request)
        if found is None or roles.may_write():
            return found
        user, _ = found
        if not revocations.is_current() and user.is_staff:
            revocations.require_current()
        outdated = user.rights_version < revocations.copy.version_of(str(user.pk))
        return None if outdated else found


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
