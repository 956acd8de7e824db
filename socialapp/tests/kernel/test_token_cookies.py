"""The token cookies of a browser: answers that arrive in any order lose no write."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import Message
from http.cookiejar import CookieJar
from itertools import permutations
from types import SimpleNamespace
from urllib.request import Request

import pytest
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from hypothesis import given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from socialapp.accounts.models import User
from socialapp.cqrs import apply, outcomes
from socialapp.cqrs.consistency import COOKIE, Token
from socialapp.cqrs.http import token_cookies
from socialapp.cqrs.http.freshness import freshness, remember
from socialapp.cqrs.http.token_cookies import MOST_READ
from socialapp.cqrs.ids import new_id


def to_us() -> Request:
    return Request("http://localhost/")


@dataclass
class Browser:
    """Its cookies, kept by the rules of RFC 6265 as far as http.cookiejar has them."""

    jar: CookieJar = field(default_factory=CookieJar)

    def cookie(self) -> str:
        """What a request that is sent now presents."""
        request = to_us()
        self.jar.add_cookie_header(request)
        return request.get_header("Cookie", "")

    def receive(self, answer: HttpResponse) -> None:
        headers = Message()
        for morsel in answer.cookies.values():
            headers.add_header("Set-Cookie", morsel.OutputString())
        self.jar.extract_cookies(SimpleNamespace(info=lambda: headers), to_us())

    def tokens(self) -> list[Token]:
        return [Token.decode(cookie.value) for cookie in self.jar if cookie.name.startswith(COOKIE)]

    def keep(self, *tokens: Token) -> None:
        for token in tokens:
            self.receive(written(token, ""))


def asked(cookie: str, **headers: str) -> HttpRequest:
    request = RequestFactory().get("/", headers=({"Cookie": cookie} if cookie else {}) | headers)
    request.presented = token_cookies.presented(request)
    return request


def written(token: Token, cookie: str) -> HttpResponse:
    """The answer of a write with this token, to a request that presented `cookie`."""
    request, answer = asked(cookie), HttpResponse()
    presented = request.presented.token
    remember(request, answer, presented.merged(token) if presented else token)
    return answer


def read(cookie: str, confirmed: frozenset = frozenset()) -> HttpResponse:
    """The answer of a read that finds these commands confirmed."""
    request, answer = asked(cookie), HttpResponse()
    token = request.presented.token
    token_cookies.consolidate(request, answer, token and token.without(confirmed))
    return answer


# ---- with real commands ----


@pytest.fixture
def client(author) -> APIClient:
    client = APIClient(HTTP_HOST="localhost")
    client.force_authenticate(User.objects.get(pk=author))
    return client


def posted(client: APIClient, text: str, cookie: str) -> HttpResponse:
    client.cookies.clear()
    answer = client.post("/api/v1/posts", {"text": text}, format="json", HTTP_COOKIE=cookie)
    assert answer.status_code == 202
    return answer


def command_of(answer: HttpResponse) -> str:
    return answer.json()["command"]["id"]


def seen(cookie: str, wait: float = 0) -> HttpResponse:
    request = RequestFactory().get("/", headers={"Cookie": cookie, "Prefer": f"wait={wait:.0f}"})
    return freshness(lambda _: HttpResponse())(request)


def test_the_cookies_of_a_browser_that_only_writes_stay_short(client):
    """nginx refuses a request whose cookies have more than 16 KB, and would until they expire."""
    browser = Browser()
    for number in range(20):
        # Two at a time leave two cookies.
        answers = [posted(client, f"{number}", cookie) for cookie in [browser.cookie()] * 2]
        for answer in answers:
            apply.drain(int(command_of(answer)[-1], 16))
            browser.receive(answer)
        assert len(browser.cookie()) < 1_600, number


def test_a_read_does_not_forget_a_write_that_was_answered_meanwhile(client, monkeypatch):
    # given a read that waits for the first command
    browser = Browser()
    first = posted(client, "first", browser.cookie())
    browser.receive(first)
    waits, look = threading.Event(), outcomes._look

    def noted(command_ids):
        found = look(command_ids)
        waits.set()
        return found

    monkeypatch.setattr(outcomes, "_look", noted)
    with ThreadPoolExecutor(1) as other:
        reading = other.submit(lambda cookie: (seen(cookie, 10), connections.close_all())[0], browser.cookie())
        assert waits.wait(10)
        # when a second write is answered, and the first command is applied then
        second = posted(client, "second", browser.cookie())
        while command_of(second)[-1] == command_of(first)[-1]:
            # Of the same partition: it would be applied with the first one.
            second = posted(client, "second", browser.cookie())
        browser.receive(second)
        apply.drain(int(command_of(first)[-1], 16))
        browser.receive(reading.result(20))
    # then the next read does not promise the second write
    assert seen(browser.cookie())["Consistency"] == "eventual"


@pytest.mark.parametrize("order", list(permutations(range(2))))
def test_two_tabs_that_write_at_once_lose_nothing(client, order, drain_all):
    browser = Browser()
    browser.receive(posted(client, "before", browser.cookie()))
    cookie = browser.cookie()
    answers = [posted(client, text, cookie) for text in ("left", "right")]
    for place in order:
        browser.receive(answers[place])
    pending = {str(command_id) for token in browser.tokens() for command_id in token.pending}
    assert {command_of(answer) for answer in answers} <= pending
    drain_all()
    shown = seen(browser.cookie())
    assert shown["Consistency"] == "strong"
    browser.receive(shown)
    assert [token.pending for token in browser.tokens()] == [()], "one cookie is left, and waits for nothing"


# ---- any interleaving ----


@dataclass
class Crowd:
    """Requests under way between a browser and the servers. confirmed: commands that no read needs to wait for."""

    browser: Browser = field(default_factory=Browser)
    under_way: list[tuple[HttpResponse, Token | None]] = field(default_factory=list)
    answered: list = field(default_factory=list)
    confirmed: set = field(default_factory=set)

    def write(self) -> None:
        token = Token(1, len(self.answered) + len(self.under_way) + 1, 1, (new_id(),))
        self.under_way.append((written(token, self.browser.cookie()), token))

    def read(self) -> None:
        self.under_way.append((read(self.browser.cookie(), frozenset(self.confirmed)), None))

    def confirm(self) -> None:
        pending = [command_id for token in self.answered for command_id in token.pending]
        self.confirmed |= set(pending[:1]) if not self.confirmed else set(pending)

    def deliver(self, place: int) -> None:
        answer, token = self.under_way.pop(place % len(self.under_way))
        self.browser.receive(answer)
        self.answered += [token] if token else []

    def check(self) -> None:
        held = self.browser.tokens()
        pending = {command_id for token in held for command_id in token.pending}
        for token in self.answered:
            assert set(token.pending) <= pending | self.confirmed
            assert max(one.position for one in held) >= token.position


STEPS = st.lists(st.sampled_from(["write", "read", "confirm"]) | st.integers(0, 20), max_size=30)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_no_interleaving_loses_a_write(steps):
    crowd = Crowd()
    for step in steps:
        if isinstance(step, str):
            getattr(crowd, step)()
        elif crowd.under_way:
            crowd.deliver(step)
        crowd.check()
    while crowd.under_way:
        crowd.deliver(0)
        crowd.check()
    for _ in range(3):
        crowd.read()
        crowd.deliver(0)
        crowd.check()
    assert len(crowd.browser.tokens()) <= 1, "what is left is one cookie"


def test_a_page_that_always_reads_in_parallel_ends_up_with_one_cookie():
    browser = Browser()
    browser.keep(*(Token(1, position, 1, (new_id(),)) for position in range(1, 6)))
    for _ in range(2):
        answers = [read(browser.cookie()) for _ in range(6)]
        for answer in answers:
            browser.receive(answer)
    assert len(browser.tokens()) == 1 and len(browser.tokens()[0].pending) == 5


# ---- bounds, old cookies and broken ones ----


def test_more_cookies_than_are_read_are_not_promised_and_not_lost():
    browser, tokens = Browser(), [Token(1, position, 1) for position in range(1, 2 * MOST_READ + 2)]
    browser.keep(*tokens)
    request = RequestFactory().get("/", headers={"Cookie": browser.cookie()})
    assert freshness(lambda _: HttpResponse())(request)["Consistency"] == "eventual"
    for _ in range(3):
        browser.receive(read(browser.cookie()))
    assert browser.tokens() == [tokens[-1]]
    assert seen(browser.cookie()).cookies == {}, "and there is nothing left to do"


def test_the_cookie_of_an_earlier_deploy_is_taken_over():
    command_id, old = new_id(), Token(1, 5, 6, (new_id(),))
    answer = written(Token(1, 7, 8, (command_id,)), f"{COOKIE}={old.encode()}")
    browser = Browser()
    browser.receive(answer)
    assert browser.tokens() == [Token(1, 7, 8, (*old.pending, command_id))]
    assert answer.cookies[COOKIE]["max-age"] == 0


@pytest.mark.parametrize("broken", ["", "x", "Wz:x", "x" * 5000, "é"])
@pytest.mark.parametrize("name", [COOKIE, f"{COOKIE}.", f"{COOKIE}.a"])
def test_a_broken_cookie_is_ignored_and_expired(name, broken):
    good = Token(1, 2, 3)
    for others in ("", f"; {COOKIE}.b={good.encode()}", f"; {COOKIE}.b={good.encode()}; {COOKIE}.c={good.encode()}"):
        cookie = f"{name}={broken}{others}"
        assert asked(cookie).presented.token == (good if others else None)
        for answer in (read(cookie), written(good, cookie)):
            assert answer.cookies[name]["max-age"] == 0


@pytest.mark.parametrize("name", [f"{COOKIE}.(x)", f"{COOKIE}.a,b", f"{COOKIE}.a b", f"{COOKIE}.{'x' * 200}"])
def test_a_name_that_no_answer_can_set_is_ignored(name):
    for value in ("1", Token(1, 2, 3).encode()):
        cookie = f"{name}={value}"
        assert asked(cookie).presented.token is None
        for answer in (read(cookie), written(Token(1, 2, 3), cookie)):
            assert name not in answer.cookies


def test_a_read_changes_no_cookie_without_need():
    pending = Token(1, 2, 3, (new_id(),))
    assert read(f"{COOKIE}.a={pending.encode()}").cookies == {}
    assert read("").cookies == {}


def test_a_cookie_is_for_this_site_only_and_not_for_scripts():
    (cookie,) = written(Token(1, 2, 3), "").cookies.values()
    assert cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["path"] == "/"
    assert not cookie["secure"]
    request = RequestFactory().post("/", secure=True)
    remember(request, answer := HttpResponse(), Token(1, 2, 3))
    assert all(morsel["secure"] for morsel in answer.cookies.values())


def test_header_and_cookies_are_all_kept():
    seen_by_header, command_ids = Token(1, 50), [new_id() for _ in range(2)]
    cookies = [Token(1, 70, 1, command_ids[:1]), Token(1, 60, 9, command_ids[1:])]
    cookie = "; ".join(f"{COOKIE}.{number}={token.encode()}" for number, token in enumerate(cookies))
    shown = asked(cookie, **{"Consistency-Token": seen_by_header.encode()}).presented
    assert shown.token == Token(1, 70, 9, tuple(command_ids))
