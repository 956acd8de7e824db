"""Stripe: one PaymentIntent per attempt, made and confirmed at once, under the attempt's id as its idempotency key.

Stripe keeps what it has answered under a key, also a 500, and forgets it after 24 hours
(https://docs.stripe.com/api/idempotent_requests). So what stays unknown is looked for by the attempt's id in its
metadata, and a request that old is never made again.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta

import stripe
from django.conf import settings

from orders.payments.gateways import Charge, Kind, Notice, Outcome, WrongSignature
from orders.payments.minor_units import NoSuchAmount, minor_units
from socialapp.cqrs import server_time
from socialapp.cqrs.problems import Problem

logger = logging.getLogger(__name__)

# Seconds to connect, and to wait for an answer. The package's own is 80, and it would repeat in secret.
TIMEOUT = (3.0, 10.0)
KEY_LIFETIME = timedelta(hours=23)
# Seconds that a signature is good for.
TOLERANCE = 300
SIGNATURE = "Stripe-Signature"

# What can be wrong with an order itself. Stripe's own words would repeat the token.
OF_THE_ORDER = {
    "payment_method": "The payment method is not known, or was used before.",
    "amount": "The amount cannot be charged.",
    "currency": "The currency cannot be charged.",
}
NEVER_CAME = "The gateway has never heard of it."
BY_STATUS = {
    "succeeded": Kind.CHARGED,
    "processing": Kind.UNKNOWN,
    # Nobody is there to enter a code.
    "requires_action": Kind.DECLINED,
    "requires_payment_method": Kind.DECLINED,
    "canceled": Kind.DECLINED,
}
BY_EVENT = {
    "payment_intent.succeeded": Kind.CHARGED,
    "payment_intent.payment_failed": Kind.DECLINED,
    "payment_intent.canceled": Kind.DECLINED,
}


class StripeGateway:
    def __init__(self, secret_key: str | None = None, api_base: str | None = None, timeout: tuple = TIMEOUT):
        client = stripe.StripeClient(
            secret_key or settings.STRIPE_SECRET_KEY or "sk_none",
            base_addresses={"api": api_base} if api_base else {},
            http_client=stripe.RequestsClient(timeout=timeout),
            max_network_retries=0,
        )
        self._intents, self._refunds = client.v1.payment_intents, client.v1.refunds

    def charge(self, charge: Charge) -> Outcome:
        try:
            amount = minor_units(charge.amount, charge.currency)
        except NoSuchAmount as error:
            return Outcome(Kind.DECLINED, reason=str(error))
        return _worded(charge, lambda: self._charge(charge, amount))

    def _charge(self, charge: Charge, amount: int) -> Outcome:
        if charge.reference:
            return _outcome(self._intents.retrieve(charge.reference))
        if server_time.now() - charge.created_at > KEY_LIFETIME:
            return self._found(charge) or Outcome(Kind.DECLINED, reason=NEVER_CAME)
        try:
            return _outcome(self._create(charge, amount))
        except stripe.APIError:
            # A 500 may be what is kept under the key: then only a search tells what came of the first request.
            found = self._found(charge) if charge.asked > 1 else None
            if found is None:
                raise
            return found

    def _create(self, charge: Charge, amount: int) -> stripe.PaymentIntent:
        params = {
            "amount": amount,
            "currency": charge.currency.lower(),
            "payment_method": charge.token,
            "confirm": True,
            "error_on_requires_action": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {"attempt": str(charge.id), "order": str(charge.order_id)},
        }
        return self._intents.create(params, {"idempotency_key": str(charge.id)})

    def _found(self, charge: Charge) -> Outcome | None:
        """By a search, which knows everything that is older than a minute."""
        query = f"metadata['attempt']:'{charge.id}'"
        intents = self._intents.search({"query": query, "limit": 1}).data
        return _outcome(intents[0]) if intents else None

    def refund(self, charge: Charge) -> Outcome:
        outcome = _worded(charge, lambda: self._refund(charge))
        # Whatever is refused now is still owed.
        return Outcome(Kind.UNKNOWN, "", outcome.reason) if outcome.kind == Kind.DECLINED else outcome

    def _refund(self, charge: Charge) -> Outcome:
        """More than was charged cannot be refunded, whatever happens to the keys."""
        known = self._refunds.list({"payment_intent": charge.reference, "limit": 100}).data if charge.asked > 1 else []
        for refund in known:
            if refund.status in REFUND_GOES_ON:
                return _outcome_of_refund(refund)
        # A refund that has failed is tried under another key: under its own it would be the same failure.
        key = f"{charge.id}-refund-{len(known)}"
        try:
            refund = self._refunds.create({"payment_intent": charge.reference}, {"idempotency_key": key})
        except stripe.InvalidRequestError as error:
            if error.code == "charge_already_refunded":
                return Outcome(Kind.REFUNDED)
            raise
        return _outcome_of_refund(refund)

    def webhook(self, body: bytes, headers: Mapping[str, str]) -> Notice | None:
        event = _verified(body, headers.get(SIGNATURE, ""))
        about = event.data.object.to_dict()
        attempt_id = (about.get("metadata") or {}).get("attempt", "")
        if event.type == "charge.refunded" and about.get("refunded"):
            return Notice(attempt_id, Outcome(Kind.REFUNDED, about.get("payment_intent") or ""))
        if kind := BY_EVENT.get(event.type):
            return Notice(attempt_id, Outcome(kind, about["id"], _last_error(about)))
        return None


REFUND_GOES_ON = ("succeeded", "pending", "requires_action")


def _worded(charge: Charge, ask: Callable[[], Outcome]) -> Outcome:
    """The answer, or what Stripe's error means for the order. Nothing of it repeats the token or our key."""
    try:
        return ask()
    except stripe.CardError as error:
        intent = (error.json_body or {}).get("error", {}).get("payment_intent") or {}
        return Outcome(Kind.DECLINED, intent.get("id", ""), error.user_message or "The card was declined.")
    except stripe.InvalidRequestError as error:
        if reason := OF_THE_ORDER.get(error.param):
            return Outcome(Kind.DECLINED, reason=reason)
        logger.error("Stripe refuses the request for the attempt %s: %s %s", charge.id, error.code, error.param)
        return Outcome(Kind.UNKNOWN, reason="Stripe did not understand the request.")
    except stripe.StripeError as error:
        kind = type(error).__name__
        logger.warning("Stripe did not answer for the attempt %s: %s %s", charge.id, kind, error.http_status)
        # Another request under the same key is under way, or was made of something else: no fault of Stripe's.
        reached = error.http_status in (400, 409)
        return Outcome(Kind.UNKNOWN, reason=f"Stripe could not answer ({kind}).", reached=reached)


def _outcome(intent: stripe.PaymentIntent) -> Outcome:
    return Outcome(BY_STATUS.get(intent.status, Kind.UNKNOWN), intent.id, _last_error(intent.to_dict()))


def _last_error(intent: dict) -> str:
    return (intent.get("last_payment_error") or {}).get("message") or ""


def _outcome_of_refund(refund: stripe.Refund) -> Outcome:
    if refund.status == "succeeded":
        return Outcome(Kind.REFUNDED)
    return Outcome(Kind.UNKNOWN, reason=f"The refund is {refund.status}.")


def _verified(body: bytes, signature: str) -> stripe.Event:
    """Raises WrongSignature, or Problem for what is signed and no event."""
    try:
        return stripe.Webhook.construct_event(body, signature, settings.STRIPE_WEBHOOK_SECRET, tolerance=TOLERANCE)
    except stripe.SignatureVerificationError as error:
        raise WrongSignature(f"{SIGNATURE} does not fit the body.") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Problem("The body is no event of Stripe.") from error
