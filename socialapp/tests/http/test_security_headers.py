"""What answers tell browsers to do for safety, in plain transport and in secure one."""

import json
import os
import subprocess
import sys

import pytest

from socialapp.tests.client import Api
from socialapp.tests.http.checks import refused


@pytest.mark.parametrize(
    "address", ["/api/v1/posts", "/api/v1/", "/api/v1/nowhere", "/health", "/auth/login/", "/metrics"]
)
def test_no_answer_may_be_taken_for_another_type(api, address):
    for accept in ("application/json", "text/html"):
        assert api.get(address, Accept=accept).headers.get_all("X-Content-Type-Options") == ["nosniff"]


@pytest.mark.parametrize("address", ["/api/v1/posts", "/api/v1/", "/auth/login/", "/admin/login/", "/api/v1/docs"])
def test_pages_are_not_framed_and_tell_nobody_where_one_came_from(api, address):
    answer = api.get(address, Accept="text/html")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize("address", ["/api/v1/posts", "/api/v1/nowhere", "/static/none", "/admin/login/"])
def test_nobody_tells_which_version_it_is(api, address):
    assert api.get(address).headers["Server"] == "nginx"


def test_static_files_are_not_listed(api):
    refused(api.get("/static/"), 403, 404)


def test_a_refused_read_tells_nothing_of_the_inside(api, stack):
    inside = (b"Traceback", b"django", b"psycopg", b".py", str(stack.layout.checkout).encode())
    for address in ("/api/v1/posts?cursor=x", "/api/v1/nowhere", "/api/v1/me"):
        body = api.get(address).body
        assert not [word for word in inside if word in body]


SCRIPT = """
import json
import sys
import django
django.setup()
from django.test import Client
asked = [("http", "/auth/login/"), ("https", "/auth/login/"), ("http", "/health"), ("https", "/api/v1/")]
answers = []
for scheme, address in asked:
    answer = Client(headers={"host": "localhost", "accept": "text/html", "x-forwarded-proto": scheme}).get(address)
    cookies = [morsel.OutputString() for morsel in answer.cookies.values()]
    answers.append({"status": answer.status_code, "headers": dict(answer.headers), "cookies": cookies})
json.dump(answers, sys.stdout)
"""


def answers_of(stack, transport: str) -> list[dict]:
    """What a write server whose SECURE_TRANSPORT is `transport` answers."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= stack.environment("write") | {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECURE_TRANSPORT": transport,
    }
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        cwd=stack.layout.checkout,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_secure_transport_is_asked_for_and_kept(stack):
    plain, secure, health, root = answers_of(stack, "on")
    assert (plain["status"], plain["headers"]["Location"]) == (301, "https://localhost/auth/login/")
    assert health["status"] == 200
    for answer in (secure, root):
        assert answer["status"] == 200
        assert answer["headers"]["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
    assert secure["cookies"] and all("Secure" in cookie for cookie in secure["cookies"])


def test_plain_transport_asks_for_nothing(stack, api):
    for answer in answers_of(stack, "off"):
        assert answer["status"] == 200
        assert "Strict-Transport-Security" not in answer["headers"]
        assert not [cookie for cookie in answer["cookies"] if "Secure" in cookie]
    assert api.get("/auth/login/").headers["Strict-Transport-Security"] is None


def test_health_needs_no_secure_transport_at_a_pools_door(stack):
    assert Api(stack.socket("read-1")).get("/health", X_Forwarded_Proto="http").status == 200
