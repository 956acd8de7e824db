"""Emails that ask the owner of an address whether it is theirs. Until then nothing else is sent to it.

A link is good for LINK_LIFETIME and holds a random token, of which only the digest is kept. The text of the email holds
nothing that whoever registered the address has written.
"""

import logging
import secrets
import time
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connections
from django.db.models.functions import Now
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse

from socialapp.accounts.models import LINK_LIFETIME, EmailVerification
from socialapp.cqrs.failures import OutsideUnreachable
from socialapp.identity.addresses import client_network
from socialapp.mail import delivery, rate
from socialapp.resilience import rates
from socialapp.resilience.rates import Rate

logger = logging.getLogger(__name__)

# Requests that have an email sent: people register now and then, and ask once more.
PER_NETWORK = Rate("verification-from-network", size=50, every=60)
TOO_MANY = "Too many emails were asked for from your network. Wait before you ask for another one."
BATCH = 20
# Longer than any limit looks back.
KEPT, PURGED = timedelta(days=31), 500
# Seconds after which the rest is left to the next run.
LONGEST = 5.0
SUBJECT = "Is this your email address?"
# An email that the server takes later, or whose worker died, is tried again after ten minutes.
CLAIM = """
    UPDATE accounts_emailverification SET claimed_at = now() WHERE id IN (
        SELECT id FROM accounts_emailverification
        WHERE sent_at IS NULL AND refusal = '' AND requested_at > now() - %s
          AND (claimed_at IS NULL OR claimed_at < now() - interval '10 minutes')
        ORDER BY requested_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING id, email
"""
SENT = "UPDATE accounts_emailverification SET sent_at = now() WHERE id = %s"
LINKED = "UPDATE accounts_emailverification SET digest = %s WHERE id = %s"
REFUSED = "UPDATE accounts_emailverification SET refusal = %s WHERE id = %s"
LET_GO = "UPDATE accounts_emailverification SET claimed_at = NULL WHERE id = ANY(%s)"


def limit(request: HttpRequest) -> None:
    """Count a request that has an email sent to an address that anybody could have named. Raises TooManyRequests."""
    network = client_network(request)
    rates.take([PER_NETWORK.of(network)] if network else [], TOO_MANY)


def send_due() -> int:
    """Send what was asked for; how many were sent. A mail server that cannot be reached is tried again later."""
    if not settings.EMAIL_URL:
        return 0
    began, left = time.monotonic(), _execute(CLAIM, [LINK_LIFETIME, BATCH])
    sent = 0
    try:
        with delivery.connected() as connection:
            while left and time.monotonic() - began < LONGEST:
                sent += _send(*left[0], connection)
                del left[0]
    except OutsideUnreachable as error:
        logger.warning("emails to verify addresses wait: %s", error)
    if left:
        _execute(LET_GO, [[verification_id for verification_id, _ in left]])
    return sent


def _send(verification_id: UUID, email: str, connection: BaseEmailBackend) -> bool:
    rate.wait()
    token = secrets.token_urlsafe(32)
    _execute(LINKED, [digest_of(token), verification_id])
    try:
        delivery.send(message(email, token), connection)
    except delivery.Deferred as error:
        logger.info("the email that verifies an address is tried again later: %s", error)
        return False
    except (delivery.NotTaken, ValueError) as error:
        _execute(REFUSED, [str(error)[:500] or "refused", verification_id])
        return False
    _execute(SENT, [verification_id])
    return True


def message(email: str, token: str) -> EmailMultiAlternatives:
    """Raises ValueError for an address of several lines."""
    link = f"{settings.PUBLIC_URL}{reverse('verify-email')}?token={token}"
    context = {"link": link, "hours": int(LINK_LIFETIME.total_seconds() // 3600)}
    text = render_to_string("accounts/emails/verify.txt", context)
    made = EmailMultiAlternatives(SUBJECT, text, to=[email], headers={"Auto-Submitted": "auto-generated"})
    made.attach_alternative(render_to_string("accounts/emails/verify.html", context), "text/html")
    return made


def digest_of(token: str) -> bytes:
    return sha256(token.encode()).digest()


def purge() -> int:
    """Delete a batch of rows that no limit counts any more; how many there were."""
    old = EmailVerification.objects.filter(requested_at__lt=Now() - KEPT).values("pk")[:PURGED]
    deleted, _ = EmailVerification.objects.filter(pk__in=old).delete()
    return deleted


def _execute(sql: str, parameters: list) -> list[tuple]:
    with connections["default"].cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []
