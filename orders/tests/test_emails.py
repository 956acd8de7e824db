"""Emails to a real mail server: what they say, that each is sent once, and what becomes of those it does not take."""

import socket
import ssl
from datetime import timedelta

import pytest
from django.utils.timezone import now

from deploy.embedded.ground import free_port
from orders.commands import AddAddress, SendRefusedEmail
from orders.emails import NAME
from orders.emails import consumer as emails
from orders.events import (
    OrderCancelled,
    OrderDelivered,
    OrderPaid,
    OrderPaymentFailed,
    OrderPlaced,
    OrderShipped,
    PaymentMoved,
)
from orders.models import Order, OrderEmail
from orders.tests.mail_servers import Mailbox, mail_server, some_address
from socialapp.accounts.models import User
from socialapp.cqrs import consumers, events
from socialapp.cqrs.events import Recorded
from socialapp.cqrs.execute import execute
from socialapp.cqrs.failures import OutsideUnreachable
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.models import ConsumerOffset, Event, ParkedEvent
from socialapp.cqrs.problems import NotFound
from socialapp.publishing.tests.subscribers import everything_is_below_the_horizon
from socialapp.tests import crashes
from socialapp.tests.valkeys import wait_until

# A worker of its own, which sends to the test's mail server.
SENDS_TO = """
import os
os.environ["EMAIL_URL"], os.environ["EMAIL_FROM"] = "smtp://{host}:{port}", "Shop <orders@shop.example>"
"""
RUN = """
from orders.emails import LANES, NAME
from socialapp.cqrs import consumers
for lane in range(LANES):
    while consumers.run(NAME, lane): pass
"""

pytestmark = pytest.mark.usefixtures("clean_stores")


@pytest.fixture
def ordered(run, customer, add_product, place):
    """ordered(name="Tea") places an order of two of these; returns its id and the customer's email."""

    def ordered(name: str = "Tea", **fields):
        email = some_address()
        product = add_product(name=name, price="3.35", stock=10)
        return place({product: 2}, user=customer(email), **fields).resource_id, email

    return ordered


def happen(order_id, kind: type, *, before=timedelta(0), **fields) -> None:
    """An event about an order, as its handlers would have emitted it."""
    order = Order.objects.get(pk=order_id)
    version = Event.objects.filter(aggregate_id=order_id).latest("aggregate_version").aggregate_version + 1
    event = kind(str(order_id), str(order.user_id), order.status, **fields)
    events.record([Recorded(event, order_id, version, now() - before, new_id())])


def parts(message) -> tuple[str, str]:
    """Text and HTML."""
    return tuple(message.get_body((kind,)).get_content() for kind in ("plain", "html"))


def notes(order_id) -> list[tuple[str, str]]:
    return list(OrderEmail.objects.filter(order=order_id).order_by("pk").values_list("kind", "refusal"))


def test_a_confirmation_says_what_was_ordered(run, ordered, mailbox, settings):
    settings.PUBLIC_URL = "https://shop.example"
    order_id, email = ordered("Tea")
    run()
    (message,) = mailbox.to(email)
    number = Order.objects.get(pk=order_id).number
    assert message["Subject"] == f"We have your order {number}"
    assert message["From"] == settings.DEFAULT_FROM_EMAIL and message["Date"].datetime
    assert str(order_id) in message["Message-ID"] and message["Auto-Submitted"] == "auto-generated"
    assert not [name for name in message.keys() if name.startswith("List-")]  # noqa: SIM118 headers are no dict
    for body in parts(message):
        assert "2 × Tea" in body and "6.70 EUR" in body and f"{number}" in body
        assert f"https://shop.example/api/v1/orders/{order_id}" in body


@pytest.mark.parametrize(
    ("kind", "fields", "subject", "said"),
    [
        (OrderPaid, {"former": "pending", "payment": "paid"}, "is paid", "your payment of 6.70 EUR"),
        (
            OrderPaymentFailed,
            {"former": "pending", "payment": "declined", "reason": "No funds"},
            "failed",
            "We were told: “No funds”.",
        ),
        (OrderShipped, {"former": "paid"}, "is on its way", "We have sent your order."),
        (
            OrderCancelled,
            {"former": "paid", "payment": "refunding", "reason": ""},
            "cancelled",
            "We are refunding 6.70",
        ),
        (OrderCancelled, {"former": "pending", "payment": "void", "reason": ""}, "cancelled", "not been charged"),
        (OrderCancelled, {"former": "pending", "payment": "unknown", "reason": ""}, "cancelled", "under way"),
        (PaymentMoved, {"attempt_id": "", "payment": "refunded", "reason": ""}, "The refund", "We have refunded 6.70"),
    ],
)
def test_each_event_has_its_email(run, ordered, mailbox, kind, fields, subject, said):
    order_id, email = ordered()
    run()
    happen(order_id, kind, **fields)
    run()
    placed, message = mailbox.to(email)
    assert subject in message["Subject"] and message["Message-ID"] != placed["Message-ID"]
    assert all(said in body for body in parts(message))
    assert all("2 × Tea" in body for body in parts(message)) == (kind is not PaymentMoved)


def test_nobody_is_told_of_the_rest(run, ordered, mailbox, customer, add_product, place):
    order_id, email = ordered()
    happen(order_id, OrderDelivered, former="shipped")
    happen(order_id, PaymentMoved, attempt_id="", payment="unknown", reason="")
    happen(order_id, OrderShipped, former="paid", before=timedelta(days=8))
    place({add_product(stock=1): 1}, user=customer(""))
    run()
    assert len(mailbox.messages) == len(mailbox.to(email)) == 1


def test_what_people_have_named_is_escaped(run, ordered, mailbox):
    _, email = ordered('<script>alert("1")</script> & Söhne')
    run()
    text, html = parts(mailbox.to(email)[0])
    assert '2 × <script>alert("1")</script> & Söhne' in text
    assert "<script" not in html and "2 × &lt;script&gt;" in html and "&amp; Söhne" in html


def test_where_it_goes_is_said_while_it_does(run, customer, add_product, place, mailbox):
    email = some_address()
    user_id = customer(email)
    address = AddAddress("Ada Lovelace", "12 St James's Square", "London", "GB", postcode="SW1Y 4JH")
    address_id = execute(address, actor_id=user_id).resource_id
    order_id = place({add_product(stock=1): 1}, user=user_id, address_id=str(address_id)).resource_id
    run()
    happen(order_id, OrderCancelled, former="pending", payment="void", reason="")
    run()
    placed, cancelled = map(parts, mailbox.to(email))
    assert all("SW1Y 4JH London" in body and "United Kingdom" in body for body in placed)
    assert not any("London" in body for body in cancelled)


def test_an_address_of_several_lines_adds_no_header(run, ordered, mailbox):
    bad, good = ordered(), ordered()
    user_id = Order.objects.get(pk=bad[0]).user_id
    User.objects.filter(pk=user_id).update(email="ada@example.org\nBcc: eve@example.org")
    run()
    assert [message["To"] for message in mailbox.messages] == [good[1]]
    assert "Invalid address" in ParkedEvent.objects.get(consumer=NAME).error


def test_each_is_sent_once_and_a_repeat_can_be_recognised(run, ordered, mailbox):
    _, email = ordered()
    begun = {offset.lane: offset for offset in ConsumerOffset.objects.filter(consumer=NAME)}
    run()
    # given a worker that died before it moved the offset
    for offset in begun.values():
        offset.save()
    run()
    assert len(mailbox.to(email)) == 1
    # and one that died before it noted what it had sent
    OrderEmail.objects.all().delete()
    for offset in begun.values():
        offset.save()
    run()
    first, again = mailbox.to(email)
    assert first["Message-ID"] == again["Message-ID"]


def test_a_mail_server_that_is_away_loses_nothing_and_holds_up_nobody(run, ordered, mailbox, server, settings):
    sent = [ordered() for _ in range(6)]
    settings.EMAIL_PORT = free_port()
    for _ in range(2):
        with pytest.raises(OutsideUnreachable):
            run()
    while consumers.run("cache"):
        pass
    newest = Event.objects.order_by("-xid", "-position").first()
    assert ConsumerOffset.objects.get(consumer="cache").position == newest.position
    assert mailbox.messages == []
    settings.EMAIL_PORT = server.port
    run()
    assert sorted(message["To"] for message in mailbox.messages) == sorted(email for _, email in sent)
    assert not ParkedEvent.objects.filter(consumer=NAME).exists()


def test_one_that_accepts_and_says_nothing_is_given_up(run, ordered, settings):
    ordered()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = silent.getsockname()[1], 0.2
        with pytest.raises(OutsideUnreachable, match="timed out"):
            run()


@pytest.mark.parametrize("reply", ["421 too many for one connection", "451 try later", "530 log in first"])
def test_what_is_not_about_an_email_stops_and_goes_on_later(run, ordered, mailbox, reply):
    sent = [ordered() for _ in range(3)]
    mailbox.replies["MAIL"] = lambda sender: reply
    with pytest.raises(OutsideUnreachable):
        run()
    mailbox.replies.clear()
    run()
    assert len(mailbox.messages) == len(sent)


def test_who_is_hung_up_on_connects_again(run, ordered, mailbox):
    """A server that takes two emails per connection."""
    ConsumerOffset.objects.filter(consumer=NAME).exclude(lane=0).delete()
    ConsumerOffset.objects.filter(consumer=NAME).update(lanes=1)
    asked = []

    def third(sender):
        asked.append(sender)
        return "421 enough" if len(asked) % 3 == 0 else None

    mailbox.replies["MAIL"] = third
    sent = [ordered() for _ in range(7)]
    run()
    assert sorted(message["To"] for message in mailbox.messages) == sorted(email for _, email in sent)
    assert len(asked) == 10


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
def test_what_is_refused_for_good_is_noted_and_the_others_go_on(run, ordered, mailbox, command):
    refused, *others = [ordered() for _ in range(5)]
    mailbox.replies[command] = lambda address: "550 no such mailbox" if address == refused[1] else None
    run()
    run()
    assert sorted(message["To"] for message in mailbox.messages) == sorted(email for _, email in others)
    assert notes(refused[0]) == [("placed", "550 no such mailbox")]
    assert [notes(order_id) for order_id, _ in others] == [[("placed", "")]] * 4


def test_an_operator_has_a_refused_one_sent_again(run, ordered, mailbox):
    order_id, email = ordered()
    mailbox.replies["RCPT"] = lambda address: "550 relaying denied"
    run()
    mailbox.replies.clear()
    again = SendRefusedEmail(OrderEmail.objects.get(order=order_id).pk)
    execute(again, actor_id=None)
    run()
    assert len(mailbox.to(email)) == 1 and notes(order_id) == [("placed", "")]
    with pytest.raises(NotFound):
        execute(again, actor_id=None)


def test_what_is_refused_for_now_is_tried_again_by_itself_for_a_day(run, ordered, mailbox):
    full, *others = [ordered() for _ in range(5)]
    mailbox.replies["RCPT"] = lambda address: "452 mailbox full" if address == full[1] else None
    run()
    assert len(mailbox.messages) == 4
    parked = ParkedEvent.objects.filter(consumer=NAME)
    assert "452 mailbox full" in parked.get().error and notes(full[0]) == []
    # when ten minutes are over, it is still full
    parked.update(parked_at=now() - timedelta(minutes=11))
    run()
    assert parked.filter(parked_at__gt=now() - timedelta(minutes=5)).exists()
    mailbox.replies.clear()
    parked.update(parked_at=now() - timedelta(minutes=11))
    run()
    assert len(mailbox.to(full[1])) == 1 and not parked.exists() and notes(full[0]) == [("placed", "")]


@pytest.mark.parametrize("days", [8, -8])
def test_a_worker_with_a_wrong_clock_sends_what_others_would(run, ordered, mailbox, server, days):
    """By its own clock, what has just happened is old news, or what happened a week ago is news."""
    full, refused = ordered()
    old, _ = ordered()
    run()
    happen(old, OrderShipped, former="paid", before=timedelta(days=7, minutes=1))
    happen(full, OrderShipped, former="paid")
    mailbox.replies["RCPT"] = lambda address: "452 mailbox full" if address == refused else None
    wait_until(everything_is_below_the_horizon)
    sends_to = SENDS_TO.format(host=server.hostname, port=server.port)
    crashes.run(RUN, before=sends_to + crashes.CLOCK_OFF.format(by=days * 86400))
    assert notes(full) == notes(old) == [("placed", "")]
    assert ParkedEvent.objects.filter(consumer=NAME).count() == 1


def test_after_a_day_it_is_given_up(run, ordered, mailbox):
    order_id, _ = ordered()
    run()
    mailbox.replies["RCPT"] = lambda address: "452 mailbox full"
    happen(order_id, OrderShipped, former="paid", before=timedelta(days=1, minutes=1))
    run()
    assert notes(order_id) == [("placed", ""), ("shipped", "452 mailbox full")]
    assert not ParkedEvent.objects.filter(consumer=NAME).exists()


def test_a_slow_server_is_left_before_the_lease_is_over_and_come_back_to(run, ordered, mailbox, monkeypatch):
    sent = [ordered() for _ in range(8)]
    monkeypatch.setattr(emails, "LONGEST", 0)
    run()
    assert len(mailbox.messages) == len(sent) == len(mailbox.sessions)


@pytest.fixture
def certificate(tmp_path):
    """A self-signed one for 127.0.0.1: a path of the certificate and its key."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now() - timedelta(days=1)).not_valid_after(now() + timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    signed = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    path = tmp_path / "mail.pem"
    path.write_bytes(signed.public_bytes(encoding) + secret)
    return path


def test_tls_with_a_certificate_that_is_trusted_or_nothing(run, ordered, settings, certificate, monkeypatch):
    ordered()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    mailbox = Mailbox()
    with mail_server(mailbox, tls_context=context, require_starttls=True) as secured:
        settings.EMAIL_PORT = secured.port
        with pytest.raises(OutsideUnreachable, match="530"):
            run()
        settings.EMAIL_USE_TLS = True
        with pytest.raises(OutsideUnreachable, match="certificate verify failed"):
            run()
        assert mailbox.messages == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        run()
    assert len(mailbox.messages) == 1


def test_the_event_of_each_kind_is_one_that_exists():
    assert emails.kind_of(OrderPlaced("", "", 1, (), "0", "EUR", "", "pending", "due")) == OrderEmail.Kind.PLACED
