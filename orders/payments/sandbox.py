"""The sandbox: a gateway that moves no money, and does by its token what others do by chance.

`approve` and 4242424242424242 are charged, `decline` and 4000000000000002 declined; `timeout` and 4000000000000119
have been charged, but it takes three questions to find that out. Any other token is declined.
"""

import hmac
from collections.abc import Mapping

import orjson
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from orders.models import SandboxCharge
from orders.payments.gateways import Charge, Kind, Notice, Outcome, WrongSignature
from socialapp.cqrs.problems import Problem

APPROVED = {"approve", "4242424242424242"}
DECLINED = {"decline", "4000000000000002"}
SILENT = {"timeout", "4000000000000119"}
# So many questions about a card that times out are not answered.
SILENCE = 2
SIGNATURE = "Sandbox-Signature"
# What it may say by itself.
SAYS = {Kind.CHARGED, Kind.DECLINED, Kind.REFUNDED}


class SandboxGateway:
    """Its ledger is the world outside: written with commits of its own, and by nobody else."""

    def charge(self, charge: Charge) -> Outcome:
        kept = _kept(charge)
        if charge.token in SILENT and kept.asked <= SILENCE:
            # One card's fault: it says nothing about the gateway.
            return Outcome(Kind.UNKNOWN, reason="The sandbox did not answer in time.")
        return Outcome(Kind.CHARGED if kept.is_charged else Kind.DECLINED, _reference(charge), kept.reason)

    def refund(self, charge: Charge) -> Outcome:
        with transaction.atomic(durable=True):
            SandboxCharge.objects.filter(pk=charge.id, refunded_at=None).update(refunded_at=Now())
        return Outcome(Kind.REFUNDED, charge.reference)

    def webhook(self, body: bytes, headers: Mapping[str, str]) -> Notice | None:
        """{"attempt": id, "outcome": "charged" | "declined" | "refunded", "reference"?, "reason"?}"""
        require_signature(body, headers.get(SIGNATURE, ""))
        try:
            told = orjson.loads(body)
            outcome = Outcome(Kind(told["outcome"]), str(told.get("reference", "")), str(told.get("reason", "")))
            return Notice(str(told.get("attempt", "")), outcome) if outcome.kind in SAYS else None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise Problem("The body is no message of the sandbox.") from error


def _kept(charge: Charge) -> SandboxCharge:
    """The first answer, whatever is asked later under the same id."""
    reason = _refusal(charge.token)
    first = SandboxCharge(
        pk=charge.id, amount=charge.amount, currency=charge.currency, is_charged=not reason, reason=reason
    )
    with transaction.atomic(durable=True):
        SandboxCharge.objects.bulk_create([first], ignore_conflicts=True)
        SandboxCharge.objects.filter(pk=charge.id).update(asked=F("asked") + 1)
        return SandboxCharge.objects.get(pk=charge.id)


def _refusal(token: str) -> str:
    if token in APPROVED | SILENT:
        return ""
    return "The card was declined." if token in DECLINED else "The sandbox knows no such card."


def _reference(charge: Charge) -> str:
    return f"sandbox_{charge.id.hex}"


def signature(body: bytes) -> str:
    """HMAC-SHA256 of the body, in hex."""
    return hmac.digest(settings.SANDBOX_WEBHOOK_SECRET.encode(), body, "sha256").hex()


def require_signature(body: bytes, presented: str) -> None:
    """Raises WrongSignature, also where no secret is set: then nobody can sign."""
    known = settings.SANDBOX_WEBHOOK_SECRET
    if not known or not hmac.compare_digest(signature(body).encode(), presented.encode(errors="replace")):
        raise WrongSignature(f"{SIGNATURE} is not the HMAC-SHA256 of the body.")
