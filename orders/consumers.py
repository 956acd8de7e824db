"""What follows from events of the shop: payments, and emails where a mail server is configured."""

from django.conf import settings

from orders import emails
from orders.emails.consumer import QUEUE, RETRY_AFTER, send_emails
from orders.payments import consumer as payments
from socialapp.cqrs.consumers import consumer

__all__ = ["payments"]

if settings.EMAIL_URL:
    declare = consumer(
        emails.NAME, outside=True, aggregate="order", lanes=emails.LANES, queue=QUEUE, retry_after=RETRY_AFTER
    )
    declare(send_emails)
