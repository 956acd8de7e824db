"""The gateway's cache: what it keeps, for whom, and for how long."""

import threading
import time

import pytest

from deploy.tests.gate import problem
from deploy.tests.origin import Answer

# In this order: behind a no-cache nginx looks for nothing more, unless it has seen X-Accel-Expires before.
PUBLIC = {"X-Accel-Expires": "1", "Cache-Control": "public, no-cache, stale-while-revalidate=1, stale-if-error=60"}


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
        {"Cookie": "a=b; consistency_token.0123456789abcdef=x; c=d"},
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


def test_a_stale_answer_is_served_when_every_server_is_dead(gate, path, dead):
    expire(gate, path, 2)
    dead("read-1", "read-2")
    reply = gate("GET", path)
    assert (reply.status, reply.body) == (200, b"old")


def test_browsers_are_not_told_what_the_gateway_may_do(gate, path):
    gate.answer("read", Answer(headers=PUBLIC))
    for _ in range(2):
        assert gate("GET", path).headers.get_all("Cache-Control") == ["public, no-cache"]
