"""Celery tasks of payment. Each only says «look»: losing one delays, doubling one does nothing."""

from celery import shared_task

from orders.payments import asking, expiry


@shared_task(ignore_result=True)
def ask_gateway() -> None:
    """Each second, and when something was started: ask for what is due."""
    asking.ask_due()


@shared_task(ignore_result=True)
def expire_orders() -> None:
    """Each few seconds: the stock of orders that were not paid in time is for others."""
    expiry.expire_due()
