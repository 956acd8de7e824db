"""Celery tasks of payment. Each only says «look»: losing one delays, doubling one does nothing."""

from celery import shared_task

from orders.payments import asking, expiry
from socialapp.cqrs import waking
from socialapp.cqrs.waking import Wake

ASK_GATEWAY = Wake("orders.payments.tasks.ask_gateway")


@shared_task(ignore_result=True)
def ask_gateway(number: int | None = None) -> None:
    """Ask for what is due. number: of this message; an old one changes nothing."""
    if waking.received(ASK_GATEWAY, number):
        asking.ask_due()


@shared_task(ignore_result=True)
def look_for_due_payments() -> None:
    """Each second: have the gateway asked, unless a message says so already.

    In the queue `events`: a tick per second in `outside` would pile up behind rounds that take ten seconds.
    """
    waking.wake_once([ASK_GATEWAY], older_than=waking.LOST_AFTER)


@shared_task(ignore_result=True)
def expire_orders() -> None:
    """Each few seconds: the stock of orders that were not paid in time is for others."""
    expiry.expire_due()
