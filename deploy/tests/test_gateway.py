"""nginx with the real configuration, in front of origins that each test scripts."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.embedded import binaries, gateway, ground
from deploy.embedded.layout import Layout
from deploy.tests.origin import Answer, Origin

CHECKOUT = Path(__file__).resolve().parents[2]
# In this order: behind a no-cache nginx looks for nothing more, unless it has seen X-Accel-Expires before.
PUBLIC = {"X-Accel-Expires": "1", "Cache-Control": "public, no-cache, stale-while-revalidate=1, stale-if-error=60"}
POOLS = ("read-1", "read-2", "write-1", "write-2")


@dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def cache(self) -> str:
        return (self.headers.get_all("Cache-Status") or [""])[-1]


@dataclass
class Gateway:
    port: int
    static: Path
    origins: dict[str, Origin] = field(default_factory=dict)

    def __call__(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        reply = Reply(answer.status, answer.headers, answer.read())
        connection.close()
        return reply

    def raw(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def seen(self, pool: str) -> list:
        return [request for name in POOLS if name.startswith(pool) for request in self.origins[name].seen]

    def answer(self, pool: str, answer) -> None:
        for name in POOLS:
            if name.startswith(pool):
                self.origins[name].answer = answer if callable(answer) else lambda _: answer


@pytest.fixture(scope="module")
def nginx():
    # As long as a folder of sockets may be; pytest's own ones are longer.
    folder = Path(tempfile.mkdtemp(prefix="gateway-" + "x" * 40))
    layout = Layout.of(folder, CHECKOUT)
    layout.make_folders()
    layout.static.mkdir()
    port = ground.free_port()
    gateway.write_configuration(layout, port)
    running = Gateway(port, layout.static, {name: Origin(layout.socket(name)) for name in POOLS})
    for origin in running.origins.values():
        origin.start()
    command = [binaries.nginx(), "-p", f"{layout.nginx}/", "-c", "gateway.conf", "-e", "stderr"]
    process = subprocess.Popen(command, cwd=layout.nginx)
    wait_until_listening(port, process)
    yield running
    process.send_signal(signal.SIGTERM)
    process.wait(10)
    shutil.rmtree(folder)


def wait_until_listening(port: int, process: subprocess.Popen) -> None:
    for _ in range(200):
        assert process.poll() is None
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("nginx does not listen")


@pytest.fixture
def gate(nginx):
    nginx.answer("", Answer())
    for origin in nginx.origins.values():
        origin.seen.clear()
    return nginx


@pytest.fixture
def path():
    """An address that no other test has put into the cache."""
    return f"/api/v1/posts/{os.urandom(8).hex()}"


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


# ---- the shared cache ----


def test_a_public_answer_is_kept_for_a_second(gate, path):
    gate.answer("read", Answer(headers=PUBLIC))
    assert gate("GET", path).cache == "gateway; fwd=uri-miss"
    assert gate("GET", path).cache == "gateway; hit"
    assert len(gate.seen("read")) == 1


def test_head_is_answered_from_what_get_has_stored(gate, path):
    gate.answer("read", Answer(headers=PUBLIC))
    gate("GET", path)
    assert gate("HEAD", path).cache == "gateway; hit"


@pytest.mark.parametrize("lifetime", ["max-age=300", "public, s-maxage=300", ""])
def test_what_the_origin_does_not_mark_is_not_kept(gate, path, lifetime):
    gate.answer("read", Answer(headers={"Cache-Control": lifetime, "Expires": "Thu, 01 Jan 2099 00:00:00 GMT"}))
    gate("GET", path)
    gate("GET", path)
    assert len(gate.seen("read")) == 2


@pytest.mark.parametrize(
    "header",
    [
        {"Authorization": "Bearer x"},
        {"Consistency_Token": "x"},
        {"Cookie": "sessionid=x"},
        {"Cookie": "a=b; consistency_token=x"},
    ],
)
def test_whoever_shows_an_identity_or_a_token_passes_the_cache_by(gate, path, header):
    gate.answer("read", Answer(headers=PUBLIC, body=b"public"))
    gate("GET", path)
    gate.answer("read", Answer(headers=PUBLIC, body=b"personal"))
    assert gate("GET", path, **header).body == b"personal"
    assert gate("GET", path).body == b"public"


def test_pages_and_json_do_not_mix(gate, path):
    gate.answer("read", lambda request: Answer(headers=PUBLIC, body=request.headers.get("Accept", "").encode()))
    assert gate("GET", path, Accept="application/json").body == b"application/json"
    assert gate("GET", path, Accept="text/html,application/xhtml+xml").body.startswith(b"text/html")
    assert gate("GET", path, Accept="*/*").body == b"application/json"


def test_a_known_etag_is_answered_304_from_the_cache(gate, path):
    gate.answer("read", Answer(headers=PUBLIC | {"ETag": '"v1"'}))
    gate("GET", path)
    assert gate("GET", path, If_None_Match='"v1"').status == 304
    assert len(gate.seen("read")) == 1


def test_a_personal_requests_condition_reaches_the_origin(gate, path):
    gate.answer("read", Answer(status=304, headers={"ETag": '"v1"'}, body=b""))
    assert gate("GET", path, Authorization="Bearer x", If_None_Match='"v1"').status == 304
    assert gate.seen("read")[0].headers["If-None-Match"] == '"v1"'


def test_a_pools_own_503_is_told_when_there_is_nothing_stale(gate, path):
    gate.answer("read", Answer(status=503))
    reply = gate("GET", path)
    assert (reply.status, problem(reply)["code"], reply.headers["Retry-After"]) == (503, "unavailable", "1")


def test_a_503_does_not_count_as_a_dead_server(gate, path):
    gate.answer("read", Answer(status=503))
    gate("GET", path)
    gate.answer("read", Answer())
    assert gate("GET", path).status == 200


def test_readiness_passes_as_it_is(gate):
    gate.answer("read", Answer(status=503, body=b"parts"))
    assert gate("GET", "/health/ready").body == b"parts"


def test_one_request_fills_a_cold_entry(gate, path):
    def slow(_):
        time.sleep(0.05)
        return Answer(headers=PUBLIC)

    gate.answer("read", slow)
    crowd = [threading.Thread(target=gate, args=("GET", path)) for _ in range(16)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert len(gate.seen("read")) == 1


def expire(gate, path, seconds):
    """Leave an entry behind whose second ended `seconds` ago. nginx counts in whole seconds of the clock."""
    gate.answer("read", Answer(headers=PUBLIC, body=b"old"))
    time.sleep(1.1 - time.time() % 1)
    gate("GET", path)
    time.sleep(1 + seconds)


def test_a_stale_answer_is_served_while_one_request_renews_it(gate, path):
    expire(gate, path, 1)
    gate.answer("read", Answer(headers=PUBLIC, body=b"new"))
    assert gate("GET", path).body == b"old"
    deadline = time.monotonic() + 0.7
    while gate("GET", path).body != b"new":
        assert time.monotonic() < deadline


def test_a_stale_answer_is_not_served_beyond_the_origins_window(gate, path):
    expire(gate, path, 2)
    gate.answer("read", Answer(headers=PUBLIC, body=b"new"))
    assert gate("GET", path).body == b"new"


def test_a_stale_answer_is_served_when_the_origin_fails(gate, path):
    expire(gate, path, 2)
    gate.answer("read", Answer(status=503))
    reply = gate("GET", path)
    assert (reply.status, reply.body) == (200, b"old")
    assert reply.cache == "gateway; hit; detail=stale"


@pytest.mark.parametrize("status", [403, 404, 410, 429])
def test_an_origins_refusal_is_not_hidden_by_a_stale_answer(gate, path, status):
    expire(gate, path, 2)
    gate.answer("read", Answer(status=status))
    assert gate("GET", path).status == status


# ---- dead servers ----


@pytest.fixture
def dead(gate):
    """Stops servers by name; they are back after the test."""
    stopped = []

    def kill(*names):
        for name in names:
            gate.origins[name].stop()
            stopped.append(name)

    yield kill
    for name in stopped:
        gate.origins[name].start()


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


def test_a_stale_answer_is_served_when_every_server_is_dead(gate, path, dead):
    expire(gate, path, 2)
    dead("read-1", "read-2")
    reply = gate("GET", path)
    assert (reply.status, reply.body) == (200, b"old")


def test_without_any_server_the_answer_is_a_problem(gate, path, dead):
    dead("read-1", "read-2", "write-1", "write-2")
    for method in ("GET", "POST", "DELETE"):
        reply = gate(method, path)
        assert reply.status == 502
        assert json.loads(reply.body)["code"] == "bad_gateway"
        assert reply.headers["Retry-After"] == "1"


# ---- nginx's own refusals ----


def problem(reply: Reply) -> dict:
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.headers["X-Request-ID"]
    document = json.loads(reply.body)
    assert document["status"] == reply.status
    assert {"type", "title", "status", "detail", "code"} == document.keys()
    return document


def test_a_large_body_is_413(gate, path):
    assert problem(gate("POST", path, b"x" * (2**20 + 1)))["code"] == "too_large"


def test_a_long_address_is_414(gate):
    assert problem(gate("GET", "/" + "x" * 9000))["code"] == "uri_too_long"


def test_a_large_header_is_431(gate, path):
    assert problem(gate("GET", path, X_Large="x" * 9000))["code"] == "header_too_large"


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
