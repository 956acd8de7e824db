"""What a payment gateway is, whichever it is. It is the world outside: slow, unreachable, and asked again.

Nothing here may be called inside a transaction or a lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Protocol
from uuid import UUID

from orders.models import PaymentAttempt
from socialapp.cqrs.problems import Problem


class Kind(StrEnum):
    CHARGED = "charged"
    DECLINED = "declined"
    REFUNDED = "refunded"
    # Nobody knows whether money has moved; the same is asked again.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """reference: the gateway's name of the charge. reason: for people. reached: False when the gateway itself was at
    fault, so that others need not ask it now either."""

    kind: Kind
    reference: str = ""
    reason: str = ""
    reached: bool = True


@dataclass(frozen=True, slots=True)
class Charge:
    """What a gateway learns of an attempt. id: its idempotency key. asked: how often, this time included."""

    id: UUID
    order_id: UUID
    amount: Decimal
    currency: str
    reference: str
    asked: int
    created_at: datetime
    # Not for logs and tracebacks.
    token: str = field(repr=False)

    @classmethod
    def of(cls, attempt: PaymentAttempt) -> "Charge":
        order = attempt.order
        return cls(
            attempt.pk, order.pk, attempt.amount, attempt.currency, attempt.reference, attempt.asked,
            attempt.created_at, order.payment_token,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Notice:
    """What a gateway tells by itself. attempt_id: "" where it only names its own reference."""

    attempt_id: str
    outcome: Outcome


class WrongSignature(Problem):
    status, code, title = 400, "wrong_signature", "The signature does not fit the body"


class Gateway(Protocol):
    """Whatever goes wrong with a server or a line is an Outcome, too: UNKNOWN."""

    def charge(self, charge: Charge) -> Outcome:
        """However often it is called for one id: at most one charge, and the same answer."""

    def refund(self, charge: Charge) -> Outcome:
        """All of it, once. REFUNDED or UNKNOWN: money that is owed stays owed, whatever is answered."""

    def webhook(self, body: bytes, headers: Mapping[str, str]) -> Notice | None:
        """None for what is none of our business. Raises WrongSignature, or Problem for what is no message."""


@cache
def named(name: str) -> Gateway:
    """Imported when it is needed first: a process that never asks Stripe need not carry its package."""
    if name == "stripe":
        from orders.payments.stripe_gateway import StripeGateway

        return StripeGateway()
    from orders.payments.sandbox import SandboxGateway

    return SandboxGateway()
