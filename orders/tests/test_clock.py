"""A server whose clock is wrong moves no order's schedule, neither its own customers' nor anybody else's."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils.timezone import now

from orders.commands import StartPayment
from orders.models import Order, PaymentAttempt
from orders.payments.asking import ask_due
from socialapp.cqrs.execute import execute
from socialapp.tests import crashes

TWO_DAYS = 2 * 86400
A_MINUTE = timedelta(minutes=1)
# What a web server does for a customer, and then what a worker does for all of them.
WORK = """
from uuid import UUID
from orders.commands import PlaceOrder, StartPayment
from orders.payments import expiry
from orders.payments.asking import ask_due
from socialapp.cqrs.execute import execute
order = PlaceOrder(("{product} 1",), payment_type="sandbox", payment_token="decline")
print(execute(order, actor_id=UUID("{author}")).resource_id)
expiry.expire_due()
ask_due()
"""

pytestmark = pytest.mark.usefixtures("no_other_attempts")


@pytest.mark.parametrize("by", [TWO_DAYS, -TWO_DAYS])
def test_no_schedule_moves(author, add_product, place, by):
    """given an order with time left, one whose time is over, and one whose gateway is to be asked again later"""
    tea = add_product(stock=10)
    waits, over = place({tea: 1}).resource_id, place({tea: 1}).resource_id
    Order.objects.filter(pk=over).update(held_until=now() - timedelta(seconds=1))
    asked = place({tea: 1}, payment_token="timeout").resource_id
    execute(StartPayment(), actor_id=None, resource_id=asked)
    ask_due()
    due = now() + timedelta(hours=1)
    PaymentAttempt.objects.filter(order=asked).update(ask_at=due)
    # when a server whose clock is wrong works
    placed = crashes.run(WORK.format(product=tea, author=author), before=crashes.CLOCK_OFF.format(by=by)).strip()
    # then each has the time that it had
    assert Order.objects.get(pk=waits).status == "pending"
    assert Order.objects.get(pk=over).status == "cancelled"
    assert PaymentAttempt.objects.get(order=asked).ask_at == due
    own = Order.objects.get(pk=placed)
    assert abs(own.held_until - settings.ORDER_HOLD - now()) < A_MINUTE
    assert abs(own.created_at - now()) < A_MINUTE
