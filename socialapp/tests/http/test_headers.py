"""Headers with every kind of nonsense in them: ignored where they only wish, refused where they demand."""

import re
import time

import pytest

from socialapp.tests.client import Api
from socialapp.tests.http.checks import refused, sensible

NONSENSE = {
    "Prefer": ["", "wait", "wait=", "wait=-1", "wait=1e9", "wait=0.5", "=;;,,,", "\xff", "w" * 4000, 'wait="'],
    "Idempotency-Key": ["", " ", "x" * 255, "x" * 256, "\xff" * 200, '"quoted"', "a,b", "\t"],
    "If-Match": ["", "*", '"1"', "W/", "garbage", '"-1-x"', '"999999999-x"', f'"{"9" * 30}-x"', "\xff", '"²-x"', ","],
    "If-None-Match": ["", "*", '"', "W/", "\xff", '"a"' * 500, "," * 4000],
    "If-Modified-Since": ["x", "\xff", "Sat, 99 Foo 9999 99:99:99 GMT"],
    "If-Unmodified-Since": ["x", "\xff"],
    "If-Range": ['"x"', "\xff"],
    "Range": ["bytes=0-1", "bytes=99999-", "bytes=-1", "bytes=a", "bytes=5-1", "items=0-1", "bytes=" + "0-1," * 300],
    "Consistency-Token": ["x", "a:b", "a:b:c", "\xff", "x" * 8000, ":::::", "WzAsMCwwLHt9XQ:1:x", " "],
    "Cookie": [
        "", "consistency_token", "consistency_token=x", "consistency_token=\xff", "sessionid=x", "sessionid=\xff\xfe",
        "consistency_token.=x", "consistency_token.a=; consistency_token.b=x; consistency_token.b=y",
        "sessionid=" + "x" * 7000, 'csrftoken=\xff; sessionid="a\\"', "=;=;=", "a" * 8000, "sessionid=" + "a" * 32,
        "messages=x", "sessionid=../../etc",
    ],
    "X-Request-ID": ["", "a b", "x" * 200, "\xff", '"><script>'],
    "Authorization": ["", "Bearer", "Bearer ", "Basic YTpi", "\xff", "Bearer \xe9\xff", "Bearer\tx", "Bearer a, b"],
    "Accept-Encoding": ["gzip;q=9,x", "\xff"],
    "Accept-Language": ["xx-\xff", "../..", "a" * 4000],
    "Accept-Charset": ["x"],
    "Content-Encoding": ["gzip", "\xff"],
    "X-HTTP-Method-Override": ["DELETE"],
    "X-Forwarded-Host": ["evil.example"],
    "X-Forwarded-Proto": ["https", "\xff"],
    "X-Accel-Redirect": ["/-problem"],
    "X-CSRFToken": ["x", "\xff"],
    "Origin": ["null", "https://evil.example", "\xff"],
    "Referer": ["\xff", "https://evil.example"],
    "TE": ["trailers, deflate"],
    "Upgrade": ["h2c"],
    "Max-Forwards": ["x"],
    "Traceparent": ["x"],
}  # fmt: skip


@pytest.fixture(scope="module")
def post(member) -> str:
    return f"/api/v1/posts/{member.create_post('headers')['id']}"


@pytest.mark.parametrize("header", NONSENSE)
def test_nonsense_gets_a_sensible_answer(way_in, member, post, header):
    api = Api(way_in, headers=member.headers)
    for value in NONSENSE[header]:
        for address in ("/api/v1/posts", post, "/api/v1/me", "/api/v1/users/nobody", "/api/v1/docs"):
            sensible(api.request("GET", address, **{header: value}))
        sensible(api.request("PATCH", post, {"text": "again"}, **{header: value}))


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Content-Type", 'a/b; x="' + ";" * 7000, 415),
        ("Accept", 'a/b; x="' + ";" * 7000, 431),
        ("Cookie", 'a="' + "\\a" * 3500 + '"', 431),
    ],
)
def test_a_header_that_is_quadratic_to_parse_is_refused_by_its_length(way_in, header, value, status):
    for method in ("GET", "HEAD"):
        answer = Api(way_in).request(method, "/api/v1/posts", **{header: value})
        assert answer.status == status
        assert method == "HEAD" or refused(answer, status)


@pytest.mark.parametrize("value", ["x", "a:b:c", "WzAsMCwwLHt9XQ:1:x", "\xff"])
def test_a_token_that_is_not_ours_is_400(way_in, value):
    refused(Api(way_in).get("/api/v1/posts", consistency_token=value), 400, code="invalid_consistency_token")


@pytest.mark.parametrize("value", ["", "x" * 256])
def test_a_bad_idempotency_key_is_400(way_to_write, member, value):
    answer = Api(way_to_write, headers=member.headers).post("/api/v1/posts", {"text": "a"}, idempotency_key=value)
    refused(answer, 400, code="invalid_idempotency_key")


@pytest.mark.parametrize("value", ["garbage", '"-1-x"', "W/", '"²-x"'])
def test_an_etag_that_is_not_ours_is_412(way_to_write, member, post, value):
    refused(Api(way_to_write, headers=member.headers).patch(post, {"text": "a"}, if_match=value), 412, code="stale")


@pytest.mark.parametrize("value", ["wait=0", "wait=-1", "wait=1.5", "wait", "respond-async", "iwait=9", "x; wait=9"])
def test_what_is_no_wait_is_not_waited_for(member, value):
    assert member.post("/api/v1/posts", {"text": "a"}, prefer=value).status == 202


@pytest.mark.parametrize(
    "value", ["wait=5", 'wait="5"', "respond-async, wait=5", "Wait = 5", "wait=5; x=y", "wait=5, x"]
)
def test_a_wait_is_understood_however_it_is_written(member, value):
    answer = member.post("/api/v1/posts", {"text": "a"}, prefer=value)
    assert (answer.status, answer.headers["Preference-Applied"]) == (201, "wait=5")


@pytest.mark.parametrize("value", ["wait=11", "wait=99999999999999999999"])
def test_nobody_waits_longer_than_ten_seconds(member, value):
    answer = member.post("/api/v1/posts", {"text": "a"}, prefer=value)
    assert (answer.status, answer.headers["Preference-Applied"]) == (201, "wait=10")


def test_the_search_for_a_wait_takes_no_time(member):
    started = time.monotonic()
    member.get("/api/v1/me", prefer="wait" + " " * 7000 + "=")
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("sent", ["a", "abc-123", "a.b_c:d+e/f=", "x" * 128])
def test_a_request_id_is_kept_through_every_door(way_in, sent):
    for address in ("/api/v1/posts", "/api/v1/nowhere", "/health"):
        assert Api(way_in).get(address, x_request_id=sent).headers.get_all("X-Request-ID") == [sent]


@pytest.mark.parametrize("sent", ["a b", "x" * 129, '"><script>', "\xff", "a,b"])
def test_another_request_id_is_replaced(way_in, sent):
    found = Api(way_in).get("/api/v1/posts", x_request_id=sent).headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", found)


def test_a_write_for_another_host_is_refused_before_it_has_an_effect(way_to_write, user):
    refused(Api(way_to_write, headers=user.headers).post("/api/v1/posts", {"text": "a"}, host="evil.example"), 400)
    user.create_post("the marker, behind whatever was accepted before")
    assert user.get(f"/api/v1/users/{user.username}/posts", prefer="wait=5").json()["results"][1:] == []
