"""Who gets emails about orders, and how many: verified addresses only, and no more than anybody wants."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from orders.commands import SendRefusedEmail
from orders.emails import consumer as emails
from orders.models import OrderEmail
from orders.tests.mail_servers import some_address
from socialapp.accounts.models import User
from socialapp.cqrs.execute import execute

pytestmark = pytest.mark.usefixtures("clean_stores")


def test_an_address_that_nobody_has_verified_gets_nothing(run, mailbox, customer, add_product, place):
    """Anybody can register a stranger's address, and orders hold text of the customer."""
    stranger = some_address()
    user = customer(stranger, is_verified=False)
    product = add_product(stock=40)
    orders = [place({product: 1}, user=user).resource_id for _ in range(30)]
    run()
    assert mailbox.to(stranger) == []
    kept = OrderEmail.objects.filter(order__in=orders)
    assert len(kept) == 30 and {email.refusal for email in kept} == {
        "not sent: the customer has not verified the address"
    }


def test_an_operator_can_send_it_once_the_address_is_verified(run, mailbox, customer, add_product, place):
    email = some_address()
    user = customer(email, is_verified=False)
    order = place({add_product(stock=5): 1}, user=user).resource_id
    run()
    User.objects.filter(pk=user).update(email_verified_at=now())
    refused = OrderEmail.objects.get(order=order)
    execute(SendRefusedEmail(refused.pk), actor_id=None)
    run()
    assert len(mailbox.to(email)) == 1


def test_one_customer_gets_so_many_emails_and_no_more(run, mailbox, customer, add_product, place, monkeypatch):
    monkeypatch.setattr(emails, "MOST", {timedelta(hours=1): 3, timedelta(days=1): 4})
    email, other = some_address(), some_address()
    user, product = customer(email), add_product(stock=40)
    for _ in range(5):
        place({product: 1}, user=user)
    place({product: 1}, user=customer(other))
    run()
    assert (len(mailbox.to(email)), len(mailbox.to(other))) == (3, 1)
    OrderEmail.objects.filter(order__user=user, refusal="").update(time=now() - timedelta(hours=2))
    for _ in range(2):
        place({product: 1}, user=user)
    run()
    assert len(mailbox.to(email)) == 4
    assert OrderEmail.objects.filter(order__user=user, refusal__contains="emails lately").count() == 3
