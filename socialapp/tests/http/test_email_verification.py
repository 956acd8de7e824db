"""Verifying an address through the gateway: by a program, and by a person who clicks on the link."""

import re
import secrets

import pytest

from orders.emails import outbox
from socialapp.tests.client import PASSWORD, Api
from socialapp.tests.http.checks import refused
from socialapp.tests.valkeys import wait_until

VERIFY = "/api/v1/auth/email/verify"


@pytest.fixture
def person(api) -> Api:
    """Registered with an address that nobody has verified."""
    username = f"user_{secrets.token_hex(6)}"
    credentials = {"username": username, "password": PASSWORD}
    assert api.post("/api/v1/auth/register", credentials | {"email": f"{username}@example.org"}).status == 201
    access = api.post("/api/v1/auth/token", credentials).json()["access"]
    return Api(api.at, username, {"Authorization": f"Bearer {access}"})


def emails_to(person: Api) -> list[outbox.Kept]:
    found = filter(None, map(outbox.read, outbox.names()))
    return [kept for kept in found if kept.message["To"] == f"{person.username}@example.org"]


def link_to(person: Api) -> str:
    wait_until(lambda: emails_to(person))
    return re.search(r"http\S+", emails_to(person)[0].text)[0]


def is_verified(person: Api) -> bool:
    wait_until(lambda: person.get("/api/v1/me").status == 200)
    return person.get("/api/v1/me").json()["email_verified"]


def test_a_program_sends_the_token_of_the_link(api, person):
    assert not is_verified(person)
    token = link_to(person).partition("token=")[2]
    assert api.post(VERIFY, {"token": token}).status == 204
    wait_until(lambda: is_verified(person))


def test_opening_the_link_changes_nothing_and_the_button_does(browser, person):
    page = browser.get(link_to(person))
    assert page.status == 200 and b"Yes, it is mine" in page.body
    assert "no-store" in page.headers["Cache-Control"]
    assert not is_verified(person)
    token = link_to(person).partition("token=")[2]
    assert b"is verified" in browser.submit("/auth/email/verify/", {"token": token}).body
    wait_until(lambda: is_verified(person))


def test_the_answer_tells_nothing_about_accounts(api, person):
    answers = [api.post(VERIFY, {"email": email}) for email in (f"{person.username}@example.org", "nobody@example.org")]
    assert [answer.status for answer in answers] == [202, 202]
    assert answers[0].body == answers[1].body
    assert {*answers[0].headers} == {*answers[1].headers}


@pytest.mark.parametrize("body", [{}, {"email": "a@example.org", "token": "x"}, {"email": "no address"}])
def test_other_bodies_are_refused(api, body):
    refused(api.post(VERIFY, body), 400)


def test_a_wrong_token_is_refused(api, browser):
    refused(api.post(VERIFY, {"token": "x" * 43}), 400, code="invalid_link")
    browser.get("/auth/email/verify/?token=x")
    page = browser.submit("/auth/email/verify/", {"token": "x"})
    assert page.status == 400 and b"The link is not valid" in page.body
