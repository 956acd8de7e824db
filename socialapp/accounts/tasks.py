"""Celery tasks of accounts."""

from celery import shared_task

from socialapp.accounts import verification


@shared_task(ignore_result=True)
def send_verifications() -> None:
    """Each few seconds: emails that ask for the owner of an address."""
    verification.send_due()


@shared_task(ignore_result=True)
def purge_verifications() -> None:
    """Each hour: rows that no limit counts any more, in batches."""
    while verification.purge():
        pass
