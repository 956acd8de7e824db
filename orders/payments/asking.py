"""Asking the gateway for what is due, and recording what it says: claim, ask, record, each by itself.

Nobody holds a lock or a transaction while the gateway thinks. Who is killed in between leaves a claim that runs out;
then the same is asked again, under the same idempotency key.
"""

import logging
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed

from django.db import connections
from django.db.models.functions import Now

from orders.commands import ClaimAttempt, RecordPayment
from orders.handlers.attempts import LIVE, State
from orders.models import PaymentAttempt
from orders.payments import gateways
from orders.payments.carrying_out import carried_out_or_logged
from orders.payments.gateways import Charge, Kind, Outcome
from socialapp.cqrs.breaker import Breaker

logger = logging.getLogger(__name__)

AT_ONCE = 8
# Seconds. What is begun then takes as long as the gateway may, and a Celery task 45 s; the next tick goes on.
LONGEST_RUN = 10.0

breaker = Breaker(open_for=(5.0, 10.0), probe=15.0)


def ask_due() -> int:
    """Ask for what is due, oldest first, a few at once; returns how many. A gateway that fails is left alone for a
    while: nothing is claimed, and no order fails."""
    deadline, asked = time.monotonic() + LONGEST_RUN, 0
    while time.monotonic() < deadline:
        due = _due(1 if breaker.is_open else AT_ONCE)
        if not due or not breaker.admits():
            break
        attempts = _claimed(due)
        if not attempts:
            break
        _ask(attempts)
        asked += len(attempts)
    return asked


def _due(limit: int) -> list[PaymentAttempt]:
    live = PaymentAttempt.objects.using("default").filter(state__in=LIVE, ask_at__lte=Now())
    return list(live.order_by("ask_at")[:limit])


def _claimed(due: Iterable[PaymentAttempt]) -> list[PaymentAttempt]:
    """Those that no other worker has, as they are now."""
    mine = [one.pk for one in due if carried_out_or_logged(ClaimAttempt(str(one.pk)), one.order_id)]
    return list(PaymentAttempt.objects.using("default").filter(pk__in=mine).select_related("order"))


def _ask(attempts: list[PaymentAttempt]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = {pool.submit(answer, attempt): attempt for attempt in attempts}
        for answered in as_completed(asked):
            outcome = answered.result()
            breaker.close() if outcome.reached else breaker.trip()
            record(asked[answered], outcome)


def answer(attempt: PaymentAttempt) -> Outcome:
    """What the gateway says. Whatever is wrong with one attempt, or with our code for it, keeps no other waiting."""
    charge = Charge.of(attempt)
    try:
        gateway = gateways.named(attempt.gateway)
        return gateway.refund(charge) if attempt.state == State.REFUNDING else gateway.charge(charge)
    except Exception:
        logger.exception("the gateway could not be asked for the attempt %s", attempt.pk)
        return Outcome(Kind.UNKNOWN, reason="An error of ours, it was logged.")
    finally:
        # This thread's own.
        connections.close_all()


def record(attempt: PaymentAttempt, outcome: Outcome) -> None:
    command = RecordPayment(str(attempt.pk), outcome.kind.value, outcome.reference, outcome.reason)
    if not carried_out_or_logged(command, attempt.order_id):
        logger.error("the outcome of the attempt %s was not recorded: %s", attempt.pk, outcome)
