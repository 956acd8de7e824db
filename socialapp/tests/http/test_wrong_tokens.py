"""A write that presents a token from a wrong clock is refused, and its answer holds a token that is accepted."""

import time
from http.cookies import SimpleCookie

import pytest

from socialapp.cqrs.consistency import COOKIE, Token
from socialapp.cqrs.ids import new_id


@pytest.fixture
def ahead() -> str:
    """A minute."""
    return Token(0, 0, int((time.time() + 60) * 1e6), (new_id(),)).encode()


def test_a_program_gets_the_token_without_its_stamp(user, ahead):
    refused = user.post("/api/v1/posts", {"text": "when?"}, consistency_token=ahead)
    assert (refused.status, refused.json()["code"]) == (400, "invalid_consistency_token")
    offered = refused.headers["Consistency-Token"]
    assert Token.decode(offered).pending == Token.decode(ahead).pending, "nothing else is forgotten"
    assert user.post("/api/v1/posts", {"text": "now"}, consistency_token=offered).status == 202


def test_a_browser_gets_a_cookie_in_place_of_its_own(user, ahead):
    cookie = f"{COOKIE}.0123456789abcdef={ahead}"
    refused = user.post("/api/v1/posts", {"text": "when?"}, cookie=cookie)
    assert refused.status == 400
    given = [SimpleCookie(header) for header in refused.headers.get_all("Set-Cookie")]
    kept = {name: morsel.value for cookies in given for name, morsel in cookies.items() if morsel.value}
    expired = [name for cookies in given for name, morsel in cookies.items() if not morsel.value]
    ((name, token),) = kept.items()
    assert Token.decode(token).stamp == 0 and expired == [cookie.partition("=")[0]]
    assert user.post("/api/v1/posts", {"text": "now"}, cookie=f"{name}={token}").status == 202


def test_an_absurd_timeline_is_read_at_once_and_said(user):
    beyond = Token(2**31, 2**62).encode()
    started = time.monotonic()
    answer = user.get("/api/v1/timelines/public", consistency_token=beyond)
    assert (answer.status, answer.headers["Consistency"]) == (200, "eventual")
    assert time.monotonic() - started < 5
