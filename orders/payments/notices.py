"""What gateways tell by themselves. It is only another way to learn an outcome: the same command records it."""

from collections.abc import Mapping
from uuid import UUID

from django.conf import settings

from orders.commands import RecordPayment
from orders.models import PaymentAttempt
from orders.payments import gateways
from orders.payments.gateways import Notice
from socialapp.cqrs.execute import execute


def heed(body: bytes, headers: Mapping[str, str]) -> None:
    """What is not about an attempt of ours is let pass. Raises WrongSignature, Problem, or Unavailable."""
    notice = gateways.named(settings.PAYMENT_GATEWAY).webhook(body, headers)
    attempt = _attempt(notice) if notice else None
    if attempt is None:
        return
    outcome = notice.outcome
    command = RecordPayment(str(attempt.pk), outcome.kind.value, outcome.reference, outcome.reason)
    execute(command, actor_id=None, resource_id=attempt.order_id)


def _attempt(notice: Notice) -> PaymentAttempt | None:
    attempts = PaymentAttempt.objects.using("default").filter(gateway=settings.PAYMENT_GATEWAY)
    try:
        return attempts.filter(pk=UUID(notice.attempt_id)).first()
    except ValueError:
        reference = notice.outcome.reference
        return attempts.filter(reference=reference).first() if reference else None
