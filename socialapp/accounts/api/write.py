"""Writes of accounts: registration and tokens at once, the profile through the log."""

from uuid import NAMESPACE_URL, UUID, uuid5

from django.contrib.auth import authenticate, update_session_auth_hash
from django.contrib.auth.hashers import make_password
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from socialapp.accounts import fragments, passwords, refresh, sign_in, verification
from socialapp.accounts.api import schemas
from socialapp.accounts.api.read import own_document
from socialapp.accounts.commands import EditProfile, RegisterUser, RequestEmailVerification, VerifyEmail
from socialapp.accounts.models import Session, User
from socialapp.cqrs.execute import execute
from socialapp.cqrs.http import resources
from socialapp.cqrs.http.freshness import remember
from socialapp.cqrs.http.resources import Resource
from socialapp.cqrs.http.schemas import AcceptedAnswer
from socialapp.cqrs.http.writes import CommandView, idempotency_key, presented_token
from socialapp.cqrs.problems import AccountGone, IdempotencyKeyReused
from socialapp.cqrs.routing import Requirement, requiring
from socialapp.cqrs.submit import fingerprint_of
from socialapp.identity import security_log
from socialapp.identity.signing import ACCESS_LIFETIME, sign_access
from socialapp.resilience import rates

ME = resources.declare(Resource("user", route="me", entities=None, by_id=False))


class Register(CommandView):
    """Make an account."""

    serializer_class = schemas.Registration
    permission_classes = [AllowAny]

    @extend_schema(request=schemas.Registration, responses={201: schemas.UserAnswer})
    def post(self, request):
        body = self.validated(schemas.Registration)
        username, email, name = body["username"], body["email"], body["name"]
        if email:
            verification.limit(request)
        executed = execute(
            RegisterUser(username, make_password(body["password"]), email, name),
            # Nobody is logged in yet: the scope of the idempotency key is the name that is asked for.
            actor_id=uuid5(NAMESPACE_URL, f"registration:{username.lower()}"),
            idempotency_key=idempotency_key(request),
            # Without the password: a fast hash of it must not be kept.
            fingerprint=fingerprint_of(username, email, name),
            token=presented_token(request),
        )
        if executed.replayed:
            _require_first_password(request, executed.resource_id, body["password"])
        with requiring(Requirement(executed.token, skip_cache=executed.token.skips_cache)):
            fragment = fragments.users.get(username.lower())
        location = request.build_absolute_uri(f"/api/v1/users/{username}")
        response = Response(fragment.body, status=status.HTTP_201_CREATED, headers={"Location": location})
        remember(request, response, executed.token)
        if executed.replayed:
            response["Idempotent-Replayed"] = "true"
        return response


def _require_first_password(request: Request, user_id: UUID, password: str) -> None:
    """The fingerprint of a registration leaves the password out, and another password is another request.

    Trying passwords in this way is limited as it is when signing in. Raises IdempotencyKeyReused, AccountGone or
    TooManyRequests.
    """
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise AccountGone("The account that was registered with this key was deleted.")
    attempt = sign_in.begin(user.username, request)
    if not user.check_password(password):
        attempt.failed()
        raise IdempotencyKeyReused("The key was used to register with another password.")
    attempt.succeeded(user)


class WrongCredentials(AuthenticationFailed):
    default_detail = "There is no active account with this name and password."
    default_code = "wrong_credentials"


class TokenView(GenericAPIView):
    """Base of the views that hand out tokens; their answers are kept by nobody."""

    permission_classes = [AllowAny]

    def validated(self) -> dict:
        checked = self.get_serializer(data=self.request.data)
        checked.is_valid(raise_exception=True)
        return checked.validated_data

    def token_pair(self, user: User, session: Session, refresh_token: str) -> Response:
        access = sign_access(
            user_id=user.pk,
            username=user.username,
            is_staff=user.is_staff,
            session=session.pk,
            rights_version=user.rights_version,
        )
        body = {"access": access, "refresh": refresh_token, "expires_in": ACCESS_LIFETIME}
        return Response(body, headers={"Cache-Control": "no-store"})


class ObtainToken(TokenView):
    """Log in: name and password for an access token and a refresh token."""

    serializer_class = schemas.Credentials

    @extend_schema(request=schemas.Credentials, responses=schemas.TokenPair)
    def post(self, request):
        user = authenticate(request, **self.validated())
        if user is None:
            raise WrongCredentials()
        return self.token_pair(user, *refresh.begin(user, sign_in.network_digest(request)))


class RefreshToken(TokenView):
    """A refresh token, good for one use, for the next pair of tokens."""

    serializer_class = schemas.Refresh

    @extend_schema(request=schemas.Refresh, responses=schemas.TokenPair)
    def post(self, request):
        token, buckets = self.validated()["refresh"], sign_in.refreshes_of(request)
        rates.take(buckets, "Too many refresh tokens from this address were not good. Sign in again.")
        try:
            user, session, following = refresh.rotate(token)
        except refresh.InvalidRefreshToken as error:
            security_log.record("refresh_refused", request)
            raise AuthenticationFailed("Log in again.", code="invalid_refresh_token") from error
        rates.give_back(buckets)
        return self.token_pair(user, session, following)


class LogOut(TokenView):
    """End the session that a refresh token belongs to. Within 5 s no server accepts its access tokens."""

    serializer_class = schemas.Refresh

    @extend_schema(request=schemas.Refresh, responses={204: None})
    def post(self, request):
        refresh.end(self.validated()["refresh"])
        return Response(status=status.HTTP_204_NO_CONTENT)


class ChangePassword(TokenView):
    """Set another password. Within 5 s all other sessions have ended; the one that asks goes on."""

    serializer_class = schemas.PasswordChange
    permission_classes = [IsAuthenticated]

    @extend_schema(request=schemas.PasswordChange, responses={204: None})
    def post(self, request):
        body, user = self.validated(), passwords.owner(request.user.pk, request.auth)
        passwords.prove(user, body["old"], request)
        schemas.require_strong(body["new"], user, field="new")
        executed = passwords.change(user, body["new"], request.auth, presented_token(request))
        security_log.record("password_changed", request, account=user.username)
        if request.auth is None:
            # Of a browser: its session is bound to the password.
            user.refresh_from_db()
            update_session_auth_hash(request, user)
        response = Response(status=status.HTTP_204_NO_CONTENT)
        remember(request, response, executed.token)
        return response


class CheckEmail(CommandView):
    """Verify an address: ask for an email, then send the token of its link."""

    serializer_class = schemas.EmailCheck
    permission_classes = [AllowAny]

    @extend_schema(request=schemas.EmailCheck, responses={202: schemas.EmailCheckAnswer, 204: None})
    def post(self, request):
        body = self.validated(schemas.EmailCheck)
        if "token" in body:
            execute(VerifyEmail(verification.digest_of(body["token"]).hex()), actor_id=None)
            return Response(status=status.HTTP_204_NO_CONTENT)
        verification.limit(request)
        execute(RequestEmailVerification(body["email"]), actor_id=request.user.pk)
        # The same for every address: nobody learns whose account it is, or that there is one.
        told = "If an account waits for this address to be verified, an email is on its way to it."
        return Response({"detail": told}, status=status.HTTP_202_ACCEPTED)


class EditMe(CommandView):
    serializer_class = schemas.Profile
    permission_classes = [IsAuthenticated]

    @extend_schema(request=schemas.Profile, responses={200: schemas.OwnUserAnswer, 202: AcceptedAnswer})
    def patch(self, request):
        body = self.validated(schemas.Profile)
        return self.submit(EditProfile(**body), ME, request.user.pk, success=status.HTTP_200_OK)

    def _resource(self, resource_id, resource, success):
        return Response(own_document(resource_id), status=success)
