"""Emails as files: an order through the gateway, how many stay, and which are found."""

import secrets

import pytest
from django.core.mail import EmailMessage

from orders.emails import outbox
from orders.tests.test_orders_api import LATER, place
from socialapp.tests.browser.test_outbox import customer_with_email
from socialapp.tests.valkeys import wait_until


@pytest.fixture
def folder(tmp_path, settings):
    settings.EMAIL_FILE_PATH = str(tmp_path / "outbox")
    return tmp_path / "outbox"


def write(*subjects: str) -> None:
    messages = [EmailMessage(subject, "hello", to=["ada@example.org"]) for subject in subjects]
    outbox.EmailBackend().send_messages(messages)


def test_an_order_through_the_gateway_is_confirmed(stack, api, shelve):
    customer = customer_with_email(api)
    (tea,) = shelve({"name": "Tea", "price": "3.35"})
    order = place(customer, {tea: 2}, payment_method=LATER).json()

    def confirmation():
        found = map(outbox.read, outbox.names())
        orders = (one for one in found if one and "order" in one.message["Subject"])
        return next((one for one in orders if customer.username in one.message["To"]), None)

    wait_until(confirmation)
    assert confirmation().message["Subject"] == f"We have your order {order['number']}"
    assert f"http://127.0.0.1:{stack.port}/api/v1/orders/{order['id']}" in confirmation().html


def test_the_newest_stay(folder, monkeypatch):
    monkeypatch.setattr(outbox, "MOST", 3)
    for number in range(5):
        write(f"number {number}")
    assert [outbox.read(name).message["Subject"] for name in outbox.names()] == ["number 4", "number 3", "number 2"]
    assert len(list(folder.iterdir())) == 3 and folder.stat().st_mode & 0o077 == 0


def test_nothing_else_is_read(folder):
    write("an email")
    (name,) = outbox.names()
    (folder.parent / "secret.eml").write_text("Subject: secret\n\n")
    (folder / "20260101-000000-000000-abcdef.eml").symlink_to(folder.parent / "secret.eml")
    strange = ("../secret", "secret", f"../outbox/{name}", "", f"{name}\n", "20260101-000000-000000-abcdef")
    assert [outbox.read(one) for one in strange] == [None] * len(strange)
    assert outbox.read(name).text.strip() == "hello" and outbox.read(secrets.token_hex(4)) is None
