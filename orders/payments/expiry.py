"""Orders that nobody paid in time."""

from django.db.models.functions import Now

from orders.commands import ExpireOrder
from orders.models import Order, Status
from orders.payments.carrying_out import carried_out_or_logged

BATCH = 200


def expire_due() -> int:
    """Cancel those whose hold has ended, the oldest first, a batch at most; returns how many were."""
    pending = Order.objects.using("default").filter(status=Status.PENDING, held_until__lte=Now())
    ended = list(pending.order_by("held_until").values_list("pk", flat=True)[:BATCH])
    return sum(carried_out_or_logged(ExpireOrder(), order_id) for order_id in ended)
