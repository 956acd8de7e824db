"""Sessions of browsers: their cookies, CSRF, where a log-in leads, and what other sites can do with them."""

import pickle
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from redis import Redis

from socialapp.tests.client import PASSWORD, Api
from socialapp.tests.http.browser import Browser, set_cookies
from socialapp.tests.http.checks import refused


@pytest.fixture
def logged_in(browser, user) -> Browser:
    assert browser.log_in(user.username).status == 302
    return browser


def post(browser: Browser, **headers: str):
    return browser.request(
        "POST", "/api/v1/posts", b'{"text": "a"}', Content_Type="application/json", Accept="application/json", **headers
    )


def test_the_session_cookie_is_not_for_scripts(browser, user):
    cookie = set_cookies(browser.log_in(user.username))["sessionid"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie


def test_the_token_cookie_is_not_for_scripts(user):
    cookies = set_cookies(user.post("/api/v1/posts", {"text": "a"}))
    (cookie,) = (line for name, line in cookies.items() if name.startswith("consistency_token."))
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie


def test_logging_in_changes_the_session(browser, user):
    browser.cookies["sessionid"] = "f" * 32
    browser.log_in(user.username)
    assert browser.cookies["sessionid"] != "f" * 32


def test_a_session_of_before_the_log_in_stays_nobodys(stack_url, logged_in):
    fixated = Browser(Api(stack_url), {"sessionid": "f" * 32})
    refused(fixated.get("/api/v1/me", Accept="application/json"), 401)


def test_logging_out_ends_the_session(stack_url, logged_in):
    before = Browser(Api(stack_url), dict(logged_in.cookies))
    assert before.get("/api/v1/me", Accept="application/json").status == 200
    logged_in.submit("/auth/logout/", {})
    refused(before.get("/api/v1/me", Accept="application/json"), 401)


def test_a_link_does_not_log_out(logged_in):
    refused(logged_in.get("/auth/logout/", Accept="application/json"), 405)
    assert logged_in.get("/api/v1/me", Accept="application/json").status == 200


def test_a_write_with_a_session_needs_its_csrf_token(logged_in):
    assert post(logged_in, X_CSRFToken=logged_in.cookies["csrftoken"]).status == 202
    refused(post(logged_in), 403)
    refused(post(logged_in, X_CSRFToken="x" * 32), 403)
    del logged_in.cookies["csrftoken"]
    refused(post(logged_in, X_CSRFToken="x" * 32), 403)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "\xff"])
def test_a_write_with_a_session_comes_from_our_origin(logged_in, origin):
    refused(post(logged_in, X_CSRFToken=logged_in.cookies["csrftoken"], Origin=origin), 403)


def test_a_write_with_a_bearer_token_needs_no_csrf_token(logged_in, user):
    assert post(logged_in, Authorization=user.headers["Authorization"]).status == 202


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_another_sites_form_does_nothing(logged_in, method):
    answer = logged_in.request(
        method,
        "/api/v1/me",
        b"name=hijacked",
        Content_Type="application/x-www-form-urlencoded",
        Accept="application/json",
        Origin="https://evil.example",
    )
    refused(answer, 403, 405)
    assert logged_in.get("/api/v1/me", Accept="application/json").json()["name"] == ""


ELSEWHERE = [
    "//evil.example/", "https://evil.example/", "/\\evil.example", "http:///evil.example", "javascript:alert(1)",
    "\x01//evil.example", " //evil.example", "https:evil.example", "///evil.example", "http://127.0.0.1@evil.example/",
    "data:text/html,x", "/\t/evil.example", "\\\\evil.example", "ftp://evil.example/",
]  # fmt: skip


@pytest.mark.parametrize("page", ["/auth/login/", "/admin/login/"])
@pytest.mark.parametrize("to", ELSEWHERE)
def test_a_log_in_leads_nowhere_else(operator, browser, page, to):
    browser.get(page)
    fields = {"username": operator.username, "password": PASSWORD, "next": to}
    answer = browser.submit(f"{page}?next={quote(to)}", fields)
    assert answer.status == 302
    assert answer.headers["Location"] in ("/api/v1/", "/admin/")


def test_a_log_in_leads_to_where_one_came_from(browser, user):
    assert browser.log_in(user.username, to="/api/v1/me").headers["Location"] == "/api/v1/me"


def test_a_wrong_log_in_is_a_page_and_no_session(browser, user):
    answer = browser.log_in(user.username, "not this one")
    assert answer.status == 200 and "sessionid" not in browser.cookies
    assert b"not this one" not in answer.body


def test_a_page_shows_what_others_wrote_as_text(browser, user):
    text = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    created = user.create_post(text)
    page = browser.get(f"/api/v1/posts/{created['id']}").body
    assert b"<script>alert(1)" not in page and b"<img src=x" not in page


# ---- sessions that are no more, or never were ----


def execute(stack, sql: str, *values: object) -> None:
    with psycopg.connect(stack.environment("worker")["DATABASE_URL"], autocommit=True) as connection:
        connection.execute(sql, values)


@pytest.fixture(params=["gateway", "read-1", "write-1"])
def way(request, stack, stack_url):
    return stack_url if request.param == "gateway" else stack.socket(request.param)


def test_a_browser_whose_session_has_ended_is_anonymous(stack, way, logged_in):
    """The read pool may not delete the session: it answered 503."""
    browser = Browser(Api(way), dict(logged_in.cookies))
    assert browser.get("/api/v1/me", Host="127.0.0.1", Accept="application/json").status == 200
    execute(stack, "UPDATE accounts_user SET password = 'another' WHERE username = %s", logged_in.username)
    statuses = []
    # A replica may take a moment to hear of it.
    while not statuses or (statuses[-1] == 200 and len(statuses) < 500):
        browser.cookies = dict(logged_in.cookies)
        statuses.append(browser.get("/api/v1/me", Host="127.0.0.1", Accept="application/json").status)
    assert statuses[-1] == 401
    page = Browser(Api(way), dict(logged_in.cookies)).get("/api/v1/timelines/public", Host="127.0.0.1")
    assert page.status == 200 and logged_in.username.encode() not in page.body


class Bomb:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("content", ["pickle", "no JSON", "JSON of another shape"])
def test_a_session_that_cannot_be_decoded_is_nobodys_and_runs_nothing(stack, way, logged_in, tmp_path, content):
    bomb = tmp_path / "bomb"
    tmp_path.chmod(0o777)
    contents = {"pickle": pickle.dumps({"a": Bomb(bomb)}), "no JSON": b"\xff{", "JSON of another shape": b'["a"]'}
    key = f"socialapp:1:django.contrib.sessions.cache{logged_in.cookies['sessionid']}"
    with Redis.from_url(stack.environment("worker")["STATE_URL"]) as state:
        assert state.set(key, contents[content], xx=True)
    browser = Browser(Api(way), dict(logged_in.cookies))
    refused(browser.get("/api/v1/me", Host="127.0.0.1", Accept="application/json"), 401)
    assert not bomb.exists()
