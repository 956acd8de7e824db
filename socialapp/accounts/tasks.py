"""Celery tasks of accounts. Losing one delays; running one twice does nothing."""

import logging

from celery import shared_task
from django.db import Error

from socialapp.accounts import refresh, revoking, verification
from socialapp.cqrs import valkey

logger = logging.getLogger(__name__)

# Batches of expired rows that one run deletes.
MOST_BATCHES = 100


@shared_task(ignore_result=True)
def share_revocations() -> None:
    """Each second: tell all pools which sessions have ended."""
    try:
        revoking.share()
    except (*valkey.UNREACHABLE, Error) as error:
        logger.warning("revocations were not shared, so every process reads their rows: %s", error)


@shared_task(ignore_result=True)
def purge_sessions() -> None:
    """Each hour: delete expired sessions, refresh tokens and revocations."""
    deleted = 0
    for _ in range(MOST_BATCHES):
        batch = refresh.purge()
        deleted += batch
        if not batch:
            break
    if deleted:
        logger.info("%d expired sessions, refresh tokens and revocations were deleted", deleted)


@shared_task(ignore_result=True)
def send_verifications() -> None:
    """Each few seconds: emails that ask for the owner of an address."""
    verification.send_due()


@shared_task(ignore_result=True)
def purge_verifications() -> None:
    """Each hour: rows that no limit counts any more, in batches."""
    while verification.purge():
        pass
