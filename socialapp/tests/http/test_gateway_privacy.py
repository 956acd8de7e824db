"""The gateway's cache holds nothing that is anybody's, by token, session, cookie or identity, and mixes no types."""

import re
import secrets

import pytest

from socialapp.tests.client import Api
from socialapp.tests.http.browser import Browser, set_cookies
from socialapp.tests.http.checks import refused
from socialapp.tests.http.raw import HEAD, Wire

MIB = 1024 * 1024


def cache(answer) -> str:
    return answer.headers["Cache-Status"]


@pytest.fixture
def fresh(member) -> str:
    """A public address that nobody has asked for yet."""
    return f"/api/v1/posts/{member.create_post('fresh')['id']}?once={secrets.token_hex(4)}"


def test_two_users_see_themselves_at_one_address(user, other_user):
    for _ in range(3):
        for one in (user, other_user):
            answer = one.get("/api/v1/me")
            assert answer.json()["username"] == one.username
            assert answer.headers["Cache-Control"] == "private, no-store"
            assert cache(answer) == "gateway; fwd=bypass"


def test_two_browsers_see_themselves_at_one_address(stack_url, user, other_user):
    browsers = [Browser(Api(stack_url)) for _ in range(2)]
    for browser, one in zip(browsers, (user, other_user), strict=True):
        browser.log_in(one.username)
    for _ in range(3):
        for browser, one in zip(browsers, (user, other_user), strict=True):
            for accept in ("application/json", "text/html"):
                answer = browser.get("/api/v1/me", Accept=accept)
                assert answer.status == 200 and one.username in answer.body.decode()
                assert cache(answer) == "gateway; fwd=bypass"


def test_a_command_is_its_actors_alone_also_through_the_cache(user, other_user, api):
    command = user.post("/api/v1/posts", {"text": "mine"}).json()["command"]["href"]
    for _ in range(2):
        assert user.get(command).status == 200
        refused(other_user.get(command), 404)
        refused(api.get(command), 401)


@pytest.mark.parametrize("personal", ["authorization", "consistency_token", "session cookie", "token cookie"])
def test_an_answer_to_somebody_is_not_stored(user, api, fresh, personal):
    token = user.post("/api/v1/posts", {"text": "a token"}, prefer="wait=5").token
    headers = {
        "authorization": {"Authorization": user.headers["Authorization"]},
        "consistency_token": {"Consistency-Token": token},
        "session cookie": {"Cookie": "sessionid=abc"},
        "token cookie": {"Cookie": f"a=b; consistency_token.1234={token}"},
    }[personal]
    for _ in range(2):
        answer = api.get(fresh, **headers)
        assert (answer.status, cache(answer)) == (200, "gateway; fwd=bypass")
    anonymous = api.get(fresh)
    assert cache(anonymous) == "gateway; fwd=uri-miss"
    assert anonymous.headers["Consistency-Token"] is None and set_cookies(anonymous) == {}


def test_a_public_answer_is_stored(api, fresh):
    assert cache(api.get(fresh)) == "gateway; fwd=uri-miss"
    assert cache(api.get(fresh)) == "gateway; hit"


@pytest.mark.parametrize("address", ["/auth/login/", "/api/v1/posts", "/api/v1/docs", "/api/v1/auth/token"])
def test_no_two_visitors_get_one_csrf_token(stack_url, address):
    tokens = []
    for _ in range(3):
        answer = Browser(Api(stack_url)).get(address)
        assert "hit" not in (cache(answer) or "")
        tokens += [line for name, line in set_cookies(answer).items() if name == "csrftoken"]
    assert len(set(tokens)) == len(tokens)


ACCEPTS = {
    "application/json": "application/json",
    "*/*": "application/json",
    "text/html": "text/html; charset=utf-8",
    "text/html,application/xhtml+xml,*/*;q=0.8": "text/html; charset=utf-8",
    "TEXT/HTML": "text/html; charset=utf-8",
    "application/json, text/html;q=0.5": "application/json",
    "application/xml, application/json;q=0.9": "application/json",
    "application/xml": "application/problem+json",
    "json": "application/problem+json",
}


def test_pages_and_json_of_one_address_are_not_mixed_up(api, fresh):
    for _ in range(3):
        for accept, content_type in ACCEPTS.items():
            answer = api.get(fresh, Accept=accept)
            assert answer.headers["Content-Type"] == content_type, (accept, answer.body[:100])
            assert answer.body.startswith(b"{") == content_type.endswith("json")


def test_format_in_the_address_is_another_address(api, fresh):
    for _ in range(2):
        assert api.get(fresh).headers["Content-Type"] == "application/json"
        assert api.get(f"{fresh}&format=api", Accept="*/*").headers["Content-Type"].startswith("text/html")


def test_other_origins_and_hosts_have_entries_of_their_own(api, fresh):
    api.get(fresh)
    assert cache(api.get(fresh, Origin="https://elsewhere.example")) == "gateway; fwd=uri-miss"
    assert cache(api.get(fresh, Host="localhost")) == "gateway; fwd=uri-miss"


def test_refusals_are_not_stored(api, member):
    address = f"/api/v1/users/later_{secrets.token_hex(4)}"
    for _ in range(2):
        assert cache(api.get(address)) == "gateway; fwd=uri-miss"


@pytest.mark.parametrize("address", ["/metrics", "/metrics/", "/%6detrics", "//metrics", "/./metrics", "/x/../metrics"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_metrics_are_not_for_the_world(api, address, method):
    refused(api.request(method, address), 404)


def test_head_is_answered_from_the_cache_and_past_it(api, user, fresh):
    for headers in ({}, user.headers):
        for _ in range(2):
            answer = api.request("HEAD", fresh, **headers)
            assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b"", "application/json")
    assert cache(api.request("HEAD", fresh)) == "gateway; hit"


@pytest.mark.parametrize("asked", ["bytes=0-1", "bytes=-1", "bytes=99999-", "bytes=5-1"])
def test_a_range_is_answered_whole_in_part_or_with_a_problem(api, fresh, asked):
    whole = api.get(fresh).body
    answer = api.get(fresh, Range=asked)
    if answer.status == 416:
        refused(answer, 416)
    assert answer.status != 200 or answer.body == whole
    assert answer.status in (200, 206, 416)


@pytest.mark.parametrize("condition", [{"If_Match": '"x"'}, {"If_Unmodified_Since": "Sat, 01 Jan 2000 00:00:00 GMT"}])
def test_a_failed_precondition_of_a_stored_read_is_a_problem(api, fresh, condition):
    api.get(fresh)
    answer = api.get(fresh, **condition)
    assert answer.status in (200, 412)
    if answer.status == 412:
        refused(answer, 412, code="stale")


def test_a_large_body_is_refused_by_the_gateway_itself(stack_url):
    start = b"PUT /api/v1/posts HTTP/1.1\r\n" + HEAD + b"X-Request-ID: large\r\nContent-Length: %d\r\n\r\n" % (2 * MIB)
    reply = Wire(stack_url).send(start, cut_off=True)
    assert (reply.status, reply.problem()["code"]) == (413, "too_large")
    assert re.search(rb"X-Request-ID: large\r\n", reply.raw)
