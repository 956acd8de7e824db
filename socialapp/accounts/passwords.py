"""Users change their own password: proved by the old one, in a session that has not ended."""

from uuid import UUID

from django.contrib.auth.hashers import make_password
from rest_framework.exceptions import AuthenticationFailed, ValidationError

from socialapp.accounts import revoking, sign_in
from socialapp.accounts.commands import SetPassword
from socialapp.accounts.models import Session, User
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.execute import Executed, execute
from socialapp.cqrs.problems import AccountGone
from socialapp.identity.authentication import ENDED


def owner(user_id: UUID, claims: dict | None) -> User:
    """The user, from the primary. claims: of the access token, None for a browser's session.

    Raises AccountGone, or AuthenticationFailed when the session of the token has ended.
    """
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise AccountGone()
    if claims is not None and not _goes_on(user, claims):
        raise AuthenticationFailed(ENDED, code="token_revoked")
    return user


def _goes_on(user: User, claims: dict) -> bool:
    session = claims.get("sid")
    if not session:
        return user.is_active and claims.get("ver", 0) == user.rights_version
    alive = Session.objects.filter(pk=session, user=user, ended_at=None, rights_version=user.rights_version)
    return user.is_active and alive.exists()


def prove(user: User, password: str, request) -> None:
    """Raises ValidationError for a wrong password, or TooManyRequests after some of them."""
    attempt = sign_in.begin_signed_in(user, request)
    if not user.check_password(password):
        attempt.failed()
        raise ValidationError({"old": ["This is not your password."]}, code="wrong_password")
    attempt.succeeded(user)


def change(user: User, password: str, claims: dict | None, token: Token | None) -> Executed:
    """Set a password; only the session of the claims goes on. Raises PasswordChangedMeanwhile."""
    kept = claims.get("sid") if claims else None
    command = SetPassword(make_password(password), user.password, kept)
    executed = execute(command, actor_id=user.pk, resource_id=user.pk, token=token)
    revoking.share_now()
    return executed
