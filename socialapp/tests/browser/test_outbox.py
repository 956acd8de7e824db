"""The outbox in the hands of an operator: an order's email, its HTML in a frame, and nothing that it could do there."""

import json
import re
import secrets

import pytest

from orders.emails import outbox
from orders.tests.conftest import SHELVED, run_in
from socialapp.tests.browser.test_admin import enter
from socialapp.tests.client import PASSWORD, Api
from socialapp.tests.valkeys import wait_until

pytestmark = pytest.mark.browser

OUTBOX = "/admin/orders/orderemail/outbox/"
# A product's name that would act up, were it not escaped.
NAME = "<script>parent.document.title='broken into'</script><b>Tea</b>"


@pytest.fixture
def email(stack, api) -> str:
    """The address of somebody who has just ordered NAME; its email is in the outbox or about to be."""
    product = {"sku": secrets.token_hex(4), "name": NAME, "price": "3.35", "currency": "EUR", "stock": 10}
    (product_id,) = run_in(stack, SHELVED, json.dumps([product])).split()
    customer = customer_with_email(api)
    lines = [{"product_id": product_id, "quantity": 2}]
    answer = customer.post("/api/v1/orders", {"items": lines}, idempotency_key=secrets.token_hex(8))
    assert answer.status == 201, answer.body
    return f"{customer.username}@example.org"


def customer_with_email(api: Api) -> Api:
    username = f"user_{secrets.token_hex(6)}"
    credentials = {"username": username, "password": PASSWORD}
    assert api.post("/api/v1/auth/register", credentials | {"email": f"{username}@example.org"}).status == 201
    verify(api, f"{username}@example.org")
    access = api.post("/api/v1/auth/token", credentials).json()["access"]
    return Api(api.at, username, {"Authorization": f"Bearer {access}"})


def verify(api: Api, email: str) -> None:
    """Follow the link in the email that asks whether an address is somebody's."""
    wait_until(lambda: emails_to(email))
    token = re.search(r"token=([\w-]+)", emails_to(email)[0].text)[1]
    assert api.post("/api/v1/auth/email/verify", {"token": token}).status == 204


def emails_to(email: str) -> list[outbox.Kept]:
    return [kept for kept in map(outbox.read, outbox.names()) if kept and email in kept.message["To"]]


def test_an_operator_reads_what_a_customer_got(visitor, operator, email):
    enter(visitor, operator)
    visitor.open("/admin/orders/orderemail/")
    visitor.go(visitor.find(f".object-tools a[href='{OUTBOX}']"))
    (row,) = visitor.until(lambda driver: [row for row in rows(visitor, email) if "We have your order" in row.text])
    visitor.go(row.find_element("css selector", "th a"))
    assert f"2 × {NAME}" in visitor.find(".outbox-email pre").text
    assert "auto-generated" in visitor.find(".outbox-headers").text
    frame = visitor.find(".outbox-email iframe")
    assert "allow-scripts" not in frame.get_attribute("sandbox")
    visitor.driver.switch_to.frame(frame)
    assert "Thank you for your order" in visitor.text and NAME in visitor.text
    visitor.driver.switch_to.default_content()
    assert "broken" not in visitor.driver.title
    assert visitor.requested_hosts() == {"127.0.0.1"} and visitor.errors() == []


def rows(visitor, email) -> list:
    visitor.open(OUTBOX)
    return [row for row in visitor.find_all("#result_list tbody tr") if email in row.text]


def test_only_staff_may_look_and_only_at_emails(visitor, operator, user, plain, email):
    visitor.log_in(user.username, f"/admin/login/?next={OUTBOX}")
    assert visitor.path == "/admin/login/"
    assert plain.open(OUTBOX).body.count("<iframe") == 0
    visitor.driver.delete_all_cookies()
    enter(visitor, operator)
    for name in ("nothing", "..%2f..%2fsecrets.json", "20260101-000000-000000-abcdef"):
        visitor.open(f"{OUTBOX}{name}/")
        assert "404" in visitor.text or "doesn’t exist" in visitor.text, visitor.text[:200]


def test_many_are_paged(visitor, operator, stack):
    for number in range(60):
        message = f"Subject: number {number}\r\nTo: ada@example.org\r\n\r\nhello"
        outbox._write(message.encode())
    enter(visitor, operator)
    visitor.open(OUTBOX)
    assert len(visitor.find_all("#result_list tbody tr")) == 50 and "number 59" in visitor.text
    visitor.go(visitor.link("older"))
    assert "number 5" in visitor.text and visitor.find_all("#result_list tbody tr")
