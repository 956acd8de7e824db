"""Requests that are hardly HTTP: each gets a problem document, or no answer at all, through every door."""

import pytest

from socialapp.tests.http.checks import MEDIA_TYPE, check_document
from socialapp.tests.http.raw import HEAD, Wire

NOWHERE = b"GET /api/v1/nowhere HTTP/1.1\r\n"
POSTING = b"POST /api/v1/posts HTTP/1.1\r\n"


def to(target: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    return method + b" " + target + b" " + version + b"\r\n" + HEAD + b"\r\n"


REFUSED = {
    "lower-case method": to(b"/api/v1/posts", b"get"),
    "long method": to(b"/api/v1/posts", b"A" * 40),
    "unknown method": to(b"/api/v1/posts", b"BREW"),
    "TRACE": to(b"/api/v1/posts", b"TRACE"),
    "CONNECT": to(b"localhost:80", b"CONNECT"),
    "OPTIONS *": to(b"*", b"OPTIONS"),
    "no path": b"GET\r\n\r\n",
    "garbage": b"\x00\x01\x02\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"x" * 100 + b"\r\n\r\n",
    "HTTP/2": to(b"/api/v1/posts", version=b"HTTP/2.0"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": to(b"/api/v1/posts", version=b"HTTP/9.9"),
    "HTTP/1.0 without a host": b"GET /api/v1/posts HTTP/1.0\r\n\r\n",
    "HTTP/1.1 without a host": b"GET /api/v1/posts HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two hosts": b"GET /api/v1/posts HTTP/1.1\r\nHost: localhost\r\n" + HEAD + b"\r\n",
    "another host": b"GET /api/v1/posts HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    "an empty host": b"GET /api/v1/posts HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
    "a host with a path": b"GET /api/v1/posts HTTP/1.1\r\nHost: localhost/x\r\nConnection: close\r\n\r\n",
    "a host in Latin-1": b"GET /api/v1/posts HTTP/1.1\r\nHost: \xe9\xff\r\nConnection: close\r\n\r\n",
    "an absolute address elsewhere": to(b"http://evil.example/api/v1/nowhere"),
    "a path in Latin-1": to(b"/api/v1/users/\xff\xfe"),
    "a path that is no UTF-8": to(b"/api/v1/users/%ff%fe"),
    "a path with NUL": to(b"/api/v1/users/a%00b"),
    "a path with a broken escape": to(b"/api/v1/users/%zz"),
    "up and out": to(b"/static/../../../../etc/passwd"),
    "up and out, escaped": to(b"/static/%2e%2e/%2e%2e/secrets.json"),
    "up and out, slash escaped": to(b"/static/..%2f..%2fsecrets.json"),
    "beside the static files": to(b"/static../secrets.json"),
    "another host's path": to(b"//evil.example/api/v1/nowhere"),
    "a line of 5000": to(b"/" + b"a" * 5000),
    "a line of 8100": to(b"/" + b"a" * 8100),
    "a line of 20000": to(b"/" + b"a" * 20_000),
    "150 headers": NOWHERE + HEAD + b"".join(b"X-%d: 1\r\n" % n for n in range(150)) + b"\r\n",
    "2000 headers": NOWHERE + HEAD + b"".join(b"X-%d: 1\r\n" % n for n in range(2000)) + b"\r\n",
    "a header of 8185": NOWHERE + HEAD + b"X-A: " + b"a" * 8185 + b"\r\n\r\n",
    "a header of 100000": NOWHERE + HEAD + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n",
    "NUL in a header": NOWHERE + HEAD + b"X-A: a\x00b\r\n\r\n",
    "control characters in a header": NOWHERE + HEAD + b"X-A: a\x01\x7fb\r\n\r\n",
    "a bare CR in a header": NOWHERE + HEAD + b"X-A: a\rb\r\n\r\n",
    "a folded header": NOWHERE + HEAD + b"X-A: a\r\n b\r\n\r\n",
    "a header without a colon": NOWHERE + HEAD + b"X-A\r\n\r\n",
    "a space in a header's name": NOWHERE + HEAD + b"X A: b\r\n\r\n",
    "a space before the colon": NOWHERE + HEAD + b"X-A : b\r\n\r\n",
    "a header's name in UTF-8": NOWHERE + HEAD + b"X-\xc3\xa9: b\r\n\r\n",
    "an unknown expectation": POSTING + HEAD + b"Expect: magic\r\nContent-Length: 2\r\n\r\n{}",
    "100-continue": POSTING + HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "both framings": POSTING + HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "an unknown framing": POSTING + HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "gzip as framing": POSTING + HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a bad chunk": POSTING + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a negative length": POSTING + HEAD + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": POSTING + HEAD + b"Content-Length: +1\r\n\r\na",
    "a length in words": POSTING + HEAD + b"Content-Length: one\r\n\r\na",
    "two lengths": POSTING + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\na",
    "a length beyond numbers": POSTING + HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\na",
    "websocket to nowhere": NOWHERE + b"Host: localhost\r\nConnection: close\r\nUpgrade: websocket\r\n\r\n",
    "the home of problems": to(b"/-problem"),
}


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED)
def test_it_is_refused_with_a_problem_document(wire, request_bytes):
    reply = wire.send(request_bytes)
    assert 400 <= reply.status < 500 or reply.status in (501, 505), reply.raw[:300]
    assert reply.content_type == MEDIA_TYPE
    check_document(reply.problem(), reply.status)


@pytest.mark.parametrize("request_bytes", [b"", b"GET", b"GET / HTTP/1.1\r\n", POSTING + HEAD], ids=repr)
def test_whoever_hangs_up_early_leaves_nothing_behind(wire, request_bytes):
    reply = wire.send(request_bytes, cut_off=True)
    assert not reply.raw or reply.status in (0, 400)


def test_a_body_that_breaks_off_is_not_taken_for_a_whole_one(stack_url, stack, member):
    authorization = f"Authorization: {member.headers['Authorization']}\r\n".encode()
    request = POSTING + HEAD + authorization + b"Content-Type: application/json\r\nContent-Length: 40\r\n\r\n{}"
    for at in (stack_url, stack.socket("write-1")):
        reply = Wire(at).send(request, cut_off=True)
        assert not reply.raw or 400 <= reply.status < 500


SECOND = b"GET /health HTTP/1.1\r\n" + HEAD + b"X-Request-ID: second\r\n\r\n"
HIDDEN = b"GET /api/v1/nowhere HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: hidden\r\n\r\n"
FRAMINGS = {
    "length": b"Content-Length: %d\r\n\r\n%s" % (len(HIDDEN), HIDDEN),
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN),
}


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"POST", b"DELETE"])
@pytest.mark.parametrize("target", [b"/api/v1/posts", b"/api/v1/nowhere", b"/api/v1/posts?limit=x"])
def test_a_body_that_nobody_reads_is_no_second_request(wire, method, target, framing):
    first = method + b" " + target + b" HTTP/1.1\r\nHost: localhost\r\n" + framing
    raw = wire.send(first + SECOND).raw
    assert b"hidden" not in raw
    assert raw.count(b"HTTP/1.1 ") == 2 and b"X-Request-ID: second" in raw


def test_http_1_0_with_a_host_is_answered(wire):
    assert wire.send(b"GET /api/v1/posts HTTP/1.0\r\nHost: localhost\r\n\r\n").status == 200


def test_http_0_9_gets_no_more_than_a_problem(stack_url):
    reply = Wire(stack_url).send(b"GET /api/v1/posts\r\n\r\n")
    check_document(reply.problem(), 400)


def test_health_answers_whatever_the_host(wire):
    reply = wire.send(b"GET /health HTTP/1.1\r\nHost: 10.1.2.3\r\nConnection: close\r\n\r\n")
    assert reply.status == 200
