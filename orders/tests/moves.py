"""What becomes of an order by the gateway's word, for tests that are not about payment."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from django.db import transaction

from orders.commands import CancelOrder
from orders.handlers.changing import on_locked_order
from orders.machine import Change, move
from orders.models import Status
from socialapp.cqrs import events, settle
from socialapp.cqrs.clocks import stamp_after
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.effects import Effects, claim_results
from socialapp.cqrs.ids import new_id, partition_of


def become(order_id: UUID, status: Status) -> None:
    change_in_test(order_id, lambda change: move(change, status))


def change_in_test(order_id: UUID, change: Callable[[Change], None]) -> None:
    """`change` on the locked order, as a handler makes it: with its result, its events and what they make stale.

    Raises the Problem of a refusal.
    """
    command = CancelOrder("in a test", as_staff=True)
    envelope = Envelope(new_id(partition_of(order_id)), command, None, order_id)
    found = Effects()
    with transaction.atomic(durable=True):
        found.now = claim_results([envelope]).now
        on_locked_order(replace(envelope, stamp=stamp_after(0, found.now)), found, change)
        events.record(found.events)
    if found.problems:
        raise found.problems[envelope.id]
    settle.settle([recorded.event for recorded in found.events])
