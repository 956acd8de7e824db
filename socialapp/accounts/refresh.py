"""Refresh tokens: random, kept as digests, good for one use. A second use ends the session that they belong to.

After draft-ietf-oauth-security-topics, section 4.14.2 (RFC 9700). Whatever uses a token or ends a session locks the
session's row first, so that no token is issued beside the end of its session.
"""

import secrets
from datetime import timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models.functions import Least, Now

from socialapp.accounts import revoking
from socialapp.accounts.models import RefreshToken, Revocation, Session, User
from socialapp.resilience import rates
from socialapp.resilience.rates import Rate

LIFETIME = timedelta(days=30)
LONGEST_SESSION = timedelta(days=90)
# Rows that one statement of `purge` deletes, and how long they are kept for operators to look at.
PURGED = 1_000
SHOWN = timedelta(days=1)


ROTATIONS = Rate("refresh-of-session", size=30, every=20)


class InvalidRefreshToken(Exception):
    """Unknown, expired, used before, or of a session that has ended."""


def begin(user: User, network: str = "") -> tuple[Session, str]:
    """A new session of a user who has just proved their password, and its first refresh token.

    network: a digest of the client's (sign_in.py).
    """
    begun = {"rights_version": user.rights_version, "ends_at": Now() + LONGEST_SESSION, "network": network}
    with transaction.atomic():
        session = Session.objects.create(id=uuid4(), user=user, **begun)
        session.refresh_from_db()
        return session, _issue(session)


def rotate(token: str) -> tuple[User, Session, str]:
    """Use a token up; (its user, its session, the next token). Raises InvalidRefreshToken or TooManyRequests."""
    family = _family(token)
    if family is None:
        raise InvalidRefreshToken()
    rates.take([ROTATIONS.of(family)], "This session is renewed too often; an access token is good for 15 minutes.")
    with transaction.atomic():
        session = _locked(family)
        held = _held(token)
        if _is_good(held, session):
            RefreshToken.objects.filter(pk=held.pk).update(used_at=Now())
            return held.user, session, _issue(session)
        _end(session)
    revoking.share_now()
    raise InvalidRefreshToken()


def end(token: str) -> None:
    """End the session that a token belongs to; unknown tokens are ignored."""
    family = _family(token)
    if family is None:
        return
    with transaction.atomic():
        _end(_locked(family))
    revoking.share_now()


def purge() -> int:
    """Delete a batch of what has expired; returns the number of deleted rows, 0 when nothing is left."""
    shown, forgotten = Now() - SHOWN, Now() - revoking.FORGOTTEN
    expired = (
        RefreshToken.objects.filter(expires_at__lt=shown),
        Session.objects.filter(ends_at__lt=shown),
        Revocation.objects.filter(at__lt=forgotten),
    )
    return sum(rows.model.objects.filter(pk__in=rows.values("pk")[:PURGED]).delete()[0] for rows in expired)


def _family(token: str) -> UUID | None:
    return RefreshToken.objects.filter(digest=_digest(token)).values_list("family", flat=True).first()


def _locked(family: UUID) -> Session:
    """The session of a family of tokens, its row locked until the transaction ends."""
    locked = Session.objects.select_for_update(no_key=True).filter(pk=family)
    return locked.first() or _of_former_release(family)


def _of_former_release(family: UUID) -> Session:
    """The session of tokens that a process of a former release issued during a deployment: it knew no sessions."""
    first = RefreshToken.objects.filter(family=family).earliest("issued_at")
    begun = {"user_id": first.user_id, "rights_version": 0, "started_at": first.issued_at}
    Session.objects.get_or_create(pk=family, defaults=begun | {"ends_at": first.issued_at + LONGEST_SESSION})
    return Session.objects.select_for_update(no_key=True).get(pk=family)


def _held(token: str) -> RefreshToken:
    """The token and its user as they are now that the session is locked; `now` is the primary's time."""
    return RefreshToken.objects.select_related("user").annotate(now=Now()).get(digest=_digest(token))


def _is_good(held: RefreshToken, session: Session) -> bool:
    unused = not (held.used_at or held.revoked_at or session.ended_at)
    alive = min(held.expires_at, session.ends_at) > held.now
    return unused and alive and held.user.is_active and held.user.rights_version == session.rights_version


def _issue(session: Session) -> str:
    token = secrets.token_urlsafe(32)
    RefreshToken.objects.create(
        digest=_digest(token),
        family=session.pk,
        user_id=session.user_id,
        expires_at=Least(Now() + LIFETIME, session.ends_at),
    )
    return token


def _end(session: Session) -> None:
    """End a session whose row is locked. Its tokens are marked for processes of the former release, too."""
    if session.ended_at:
        return
    Session.objects.filter(pk=session.pk).update(ended_at=Now())
    RefreshToken.objects.filter(family=session.pk, revoked_at__isnull=True).update(revoked_at=Now())
    Revocation.objects.create(user_id=session.user_id, session_id=session.pk)


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
