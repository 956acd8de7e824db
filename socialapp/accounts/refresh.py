"""Refresh tokens: random, kept as digests, good for one use. A second use revokes the whole family.

After draft-ietf-oauth-security-topics, section 4.14.2 (RFC 9700).
"""

import secrets
from datetime import timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from socialapp.accounts.models import RefreshToken, User

LIFETIME = timedelta(days=30)


class InvalidRefreshToken(Exception):
    """Unknown, expired, used before, or revoked."""


def issue(user: User, family: UUID | None = None) -> str:
    """A new token, of a new family unless one is given."""
    token = secrets.token_urlsafe(32)
    RefreshToken.objects.create(
        digest=_digest(token), family=family or uuid4(), user=user, expires_at=timezone.now() + LIFETIME
    )
    return token


def rotate(token: str) -> tuple[User, str]:
    """Use a token up; (its user, the next token). Raises InvalidRefreshToken."""
    with transaction.atomic():
        held = RefreshToken.objects.select_for_update().select_related("user").filter(digest=_digest(token)).first()
        good = held and not held.used_at and not held.revoked_at and held.expires_at > timezone.now()
        if good and held.user.is_active:
            RefreshToken.objects.filter(pk=held.pk).update(used_at=Now())
            return held.user, issue(held.user, held.family)
        if held:
            _revoke(held.family)
    raise InvalidRefreshToken()


def revoke(token: str) -> None:
    """End the log-in that a token belongs to; unknown tokens are ignored."""
    held = RefreshToken.objects.filter(digest=_digest(token)).first()
    if held:
        _revoke(held.family)


def _revoke(family: UUID) -> None:
    RefreshToken.objects.filter(family=family, revoked_at__isnull=True).update(revoked_at=Now())


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
