"""Which emails about orders have been dealt with, so that none is sent twice."""

from django.db import models
from django.db.models.functions import Now

from orders.models.order import Order


class OrderEmail(models.Model):
    """Written right after the mail server has taken it, or refused it for good.

    event_position: of the event that it tells of. refusal: the mail server's words, "" when it was sent.
    """

    class Kind(models.TextChoices):
        PLACED = "placed"
        PAID = "paid"
        PAYMENT_FAILED = "payment_failed"
        SHIPPED = "shipped"
        CANCELLED = "cancelled"
        REFUNDED = "refunded"

    event_position = models.BigIntegerField(primary_key=True)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="emails")
    kind = models.CharField(max_length=20, choices=Kind)
    refusal = models.CharField(max_length=500, blank=True)
    time = models.DateTimeField(db_default=Now())

    def __str__(self):
        return f"{self.kind}, {self.order_id}"
