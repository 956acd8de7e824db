"""The road of a request: which pool, which headers, what happens when servers die, what nginx itself refuses."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.tests.gate import problem
from deploy.tests.origin import Answer


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_safe_methods_go_to_the_read_pool(gate, path, method):
    gate(method, path)
    assert len(gate.seen("read")) == 1
    assert gate.seen("write") == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_unsafe_methods_go_to_the_write_pool(gate, path, method):
    gate(method, path, b"{}")
    assert len(gate.seen("write")) == 1
    assert gate.seen("read") == []


@pytest.mark.parametrize("address", ["/admin/", "/admin", "/auth/login/"])
def test_session_pages_live_in_the_write_pool(gate, address):
    gate("GET", address)
    assert len(gate.seen("write")) == 1


def test_an_address_that_only_begins_like_the_admin_is_read(gate):
    gate("GET", "/administration")
    assert len(gate.seen("read")) == 1


def test_the_address_arrives_as_it_was_sent(gate):
    gate("GET", "/api/v1/tags/a%2Fb%20c?q=%C3%A9&x=1")
    assert gate.seen("read")[0].path == "/api/v1/tags/a%2Fb%20c?q=%C3%A9&x=1"


# ---- headers ----


def test_a_clients_claims_about_itself_are_replaced(gate, path):
    gate("GET", path, X_Forwarded_For="1.2.3.4", X_Forwarded_Proto="https", X_Forwarded_Host="evil", Forwarded="for=1")
    headers = gate.seen("read")[0].headers
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["X-Forwarded-Host"] == f"127.0.0.1:{gate.port}"
    assert headers["Forwarded"] is None


def test_a_request_id_is_kept(gate, path):
    gate.answer("read", Answer(headers={"X-Request-ID": "the-origins"}))
    reply = gate("GET", path, X_Request_ID="abc-123")
    assert reply.headers.get_all("X-Request-ID") == ["abc-123"]
    assert gate.seen("read")[0].headers["X-Request-ID"] == "abc-123"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, 'quote"d'])
def test_a_bad_request_id_is_replaced(gate, path, sent):
    reply = gate("POST", path, b"", X_Request_ID=sent)
    assert re.fullmatch("[0-9a-f]{32}", reply.headers["X-Request-ID"])


# ---- dead servers ----


def test_a_read_moves_on_from_a_dead_server(gate, path, dead):
    dead("read-1")
    assert {gate("GET", f"{path}/{n}").status for n in range(20)} == {200}


def test_a_read_is_repeated_when_a_server_breaks_off(gate, path):
    gate.origins["read-1"].answer = lambda _: Answer(breaks_off=True)
    assert {gate("GET", f"{path}/{n}").status for n in range(4)} == {200}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_write_moves_on_from_a_dead_server(gate, path, dead, method):
    dead("write-1")
    with ThreadPoolExecutor(8) as crowd:
        replies = crowd.map(lambda n: gate(method, f"{path}/{n}", b'{"n": 1}'), range(64))
        assert {reply.status for reply in replies} == {200}
    assert {request.body for request in gate.seen("write")} == {b'{"n": 1}'}
    assert len(gate.seen("write")) == 64


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_write_that_was_received_is_never_sent_again(gate, path, method):
    gate.answer("write", Answer(breaks_off=True))
    reply = gate(method, path, b"{}")
    assert reply.status == 502
    assert len(gate.seen("write")) == 1


def test_servers_that_broke_off_are_asked_again_at_once(gate, path):
    gate.answer("write", Answer(breaks_off=True))
    for _ in range(4):
        gate("POST", path, b"{}")
    gate.answer("write", Answer())
    assert gate("POST", path, b"{}").status == 200


def test_without_any_server_the_answer_is_a_problem(gate, path, dead):
    dead("read-1", "read-2", "write-1", "write-2")
    for method in ("GET", "POST", "DELETE"):
        reply = gate(method, path)
        assert reply.status == 502
        assert json.loads(reply.body)["code"] == "bad_gateway"
        assert reply.headers["Retry-After"] == "1"


# ---- nginx's own refusals ----


def test_a_large_body_is_413(gate, path):
    assert problem(gate("POST", path, b"x" * (2**20 + 1)))["code"] == "too_large"


def test_a_long_address_is_414(gate):
    assert problem(gate("GET", "/" + "x" * 17_000))["code"] == "uri_too_long"


def test_a_large_header_is_431(gate, path):
    assert problem(gate("GET", path, X_Large="x" * 17_000))["code"] == "header_too_large"


def test_what_is_not_http_is_400(gate):
    head, _, body = gate.raw(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").partition(b"\r\n\r\n")
    assert b" 400 " in head and b"application/problem+json" in head
    assert json.loads(body)["code"] == "bad_request"


def test_trace_is_405(gate, path):
    assert problem(gate("TRACE", path))["code"] == "method_not_allowed"


@pytest.mark.parametrize("address", ["/metrics", "/static/none.css", "/-problem"])
def test_what_is_not_served_is_404(gate, address):
    assert problem(gate("GET", address))["code"] == "not_found"


def test_the_origins_own_problems_pass_unchanged(gate, path):
    gate.answer("", Answer(status=503, body=b"mine", headers={"Retry-After": "7"}))
    for method, headers in (("GET", {"Authorization": "Bearer x"}), ("POST", {})):
        reply = gate(method, path, **headers)
        assert (reply.status, reply.body, reply.headers["Retry-After"]) == (503, b"mine", "7")


def test_guessing_passwords_is_slowed_down(gate):
    replies = [gate("POST", "/api/v1/auth/token", b"{}") for _ in range(250)]
    refused = [reply for reply in replies if reply.status == 429]
    assert refused and problem(refused[0])["code"] == "throttled"
    assert refused[0].headers["Retry-After"] == "1"
    assert gate("POST", "/api/v1/posts", b"{}").status == 200


# ---- files and compression ----


def test_hashed_files_never_expire(gate):
    (gate.static / "app.0123456789ab.css").write_text("a{}")
    (gate.static / "app.css").write_text("a{}")
    reply = gate("GET", "/static/app.0123456789ab.css")
    assert reply.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert reply.headers["Content-Type"] == "text/css"
    assert gate("GET", "/static/app.css").headers["Cache-Control"] == "public, max-age=60"


def test_json_is_compressed_but_orders_keep_their_strong_etags(gate, path):
    gate.answer("read", Answer(body=b'"' + b"x" * 5000 + b'"', headers={"ETag": '"v1"'}))
    assert gate("GET", path, Accept_Encoding="gzip").headers["Content-Encoding"] == "gzip"
    orders = gate("GET", "/api/v1/orders", Accept_Encoding="gzip")
    assert orders.headers["Content-Encoding"] is None
    assert orders.headers["ETag"] == '"v1"'
