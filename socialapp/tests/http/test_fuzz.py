"""Requests that nobody thought of: Hypothesis makes them up, within bounds, the same ones in each run."""

import json
import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from socialapp.tests.client import Api
from socialapp.tests.http.addresses import SAFE, UNSAFE, of_the_api
from socialapp.tests.http.checks import sensible
from socialapp.tests.http.raw import HEAD

bounded = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

FIELDS = ["text", "media_ids", "username", "password", "email", "name", "bio", "refresh", "items", "q", "", "\x00"]
HEADERS = [
    "Accept", "Authorization", "Consistency-Token", "Content-Type", "Cookie", "If-Match", "If-None-Match", "Prefer",
    "Idempotency-Key", "X-Request-ID", "Range", "Origin", "Referer", "X-CSRFToken", "If-Modified-Since", "Expect2",
]  # fmt: skip
TYPES = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=xx", "text/plain"]

header_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=60)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(FIELDS), values, max_size=6)
bodies = st.one_of(
    objects.map(lambda one: json.dumps(one).encode()),
    values.map(lambda one: json.dumps(one).encode()),
    objects.map(lambda one: json.dumps(one, ensure_ascii=False).encode(errors="surrogatepass")),
    objects.map(lambda one: "&".join(f"{name}={value}" for name, value in one.items()).encode(errors="surrogatepass")),
    st.binary(max_size=200),
)
segments = st.text(string.ascii_letters + string.digits + "-._~%/:@!$&'()*+,;=", max_size=20)
queries = st.text(string.ascii_letters + string.digits + "-._~%/:@!$&'()*+,;=?", max_size=40)
paths = st.one_of(
    st.sampled_from(of_the_api()),
    st.tuples(st.sampled_from(of_the_api()), queries).map("?".join),
    st.tuples(st.sampled_from(of_the_api()), segments).map("".join),
    segments.map("/api/v1/{}".format),
)


@bounded
@given(
    method=st.sampled_from(SAFE + UNSAFE),
    path=paths,
    headers=st.dictionaries(st.sampled_from(HEADERS), header_values, max_size=4),
    content_type=st.sampled_from(TYPES),
    body=bodies,
    known=st.booleans(),
)
def test_any_request_gets_a_sensible_answer(way_in, member, method, path, headers, content_type, body, known):
    identity = member.headers if known else {}
    wait = {"Prefer": "wait=0"}
    sent = {"Content-Type": content_type} | wait | identity | headers | {"Prefer": "wait=0"}
    answer = Api(way_in).request(method, path, body if method in UNSAFE else None, **sent)
    if "html" in (answer.headers["Content-Type"] or "") and "html" in headers.get("Accept", "").lower():
        assert answer.status < 500
        return
    sensible(answer, empty=method == "HEAD")


@bounded
@given(body=objects.map(lambda one: json.dumps(one).encode()))
@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("POST", "/api/v1/posts"),
        ("PATCH", "/api/v1/me"),
        ("POST", "/api/v1/auth/register"),
        ("POST", "/api/v1/auth/token"),
    ],
)
def test_any_object_gets_a_sensible_answer(stack, member, method, address, body):
    api = Api(stack.socket("write-1"), headers=member.headers)
    sensible(api.request(method, address, body, Content_Type="application/json", prefer="wait=2"))


WELL_FORMED = (
    b"POST /api/v1/posts?x=1 HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)


@bounded
@given(
    cut=st.integers(0, len(WELL_FORMED)),
    removed=st.integers(0, 12),
    put=st.binary(max_size=12)
    | st.sampled_from([b"\r\n", b"\r\n\r\n", b"\x00", b": ", b" ", b"\t", b"HTTP/1.0", b"\xff"]),
)
def test_a_request_with_wounds_gets_a_problem_or_nothing(wire, cut, removed, put):
    reply = wire.send(WELL_FORMED[:cut] + put + WELL_FORMED[cut + removed :], cut_off=True)
    if not reply.raw or reply.status == 200:
        return
    assert reply.status < 500 or reply.status in (501, 505), reply.raw[:300]
    assert "problem" in reply.raw.decode("latin-1")
