"""A command that is accepted in front of Django's cycle is answered like one that goes through it."""

import json
import os
import re
import subprocess
import sys

import pytest

from socialapp.tests.fixtures import CHECKOUT

# Asks one process of the write role twice: what the application wraps, and the application as it is served.
SCRIPT = """
import io, json, sys
from config.wsgi import application

def ask(wsgi, method, path, headers, body):
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": "", "SCRIPT_NAME": "", "SERVER_NAME": "x",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "127.0.0.1:8000", "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body.encode()), "CONTENT_LENGTH": str(len(body.encode())),
        "HTTP_X_REQUEST_ID": "the-same",
    } | headers
    started = []
    answer = wsgi(environ, lambda status, headers: started.append((status, sorted(headers))))
    return [*started[0], b"".join(answer).decode()]

passed = []
def counting(environ, start_response):
    passed.append(environ["PATH_INFO"])
    return django(environ, start_response)
front = application._application
django, front._application = front._application, counting

for request in json.load(sys.stdin):
    del passed[:]
    through, before = ask(django, *request), ask(application, *request)
    print(json.dumps([through, before, bool(passed)]))
"""

JSON = {"CONTENT_TYPE": "application/json"}
# What differs between any two commands: ids, tokens, and when a cookie ends.
OF_ONE_COMMAND = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|consistency_token\.\w+|Wz[\w-]+:[\w-]+|expires=[^;]+"
)


def ask_both(stack, requests: list, **environment: str) -> list:
    """[(Django's answer, the answer as served, whether Django was asked for it)]; an answer: status, headers, body."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(requests),
        env=os.environ | stack.environment("write") | environment,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def alike(answer: list) -> dict:
    """An answer without what is its command's alone. Its length is left to the server when Django answers."""
    status, headers, body = answer
    assert len(dict(headers)) == len(headers)
    kept = {name: value for name, value in headers if name != "Content-Length"} | {"status": status, "body": body}
    return {name: OF_ONE_COMMAND.sub("*", value.strip()) for name, value in kept.items()}


@pytest.fixture
def mine(user) -> dict:
    return JSON | {"HTTP_AUTHORIZATION": user.headers["Authorization"]}


@pytest.fixture
def post(user) -> str:
    return f"/api/v1/posts/{user.create_post('plain')['id']}"


def test_every_write_of_a_program_is_answered_the_same(stack, mine, post):
    requests = [
        ("POST", "/api/v1/posts", mine, '{"text": "plain"}'),
        ("PATCH", post, mine, '{"text": "plain, too"}'),
        ("POST", f"{post}/comments", mine, '{"text": "plain"}'),
        ("PUT", f"{post}/like", mine, ""),
        ("DELETE", f"{post}/like", mine, ""),
        ("PATCH", "/api/v1/me", mine, '{"name": "Plain"}'),
        ("DELETE", post, mine, ""),
    ]
    for (method, path, *_), (through, before, passed_on) in zip(requests, ask_both(stack, requests), strict=True):
        assert not passed_on, f"{method} {path} went through Django"
        assert before[0] == "202 Accepted"
        assert alike(before) == alike(through)


REFUSED = {
    "no JSON": ("POST", "/api/v1/posts", {}, '{"text": '),
    "a field twice": ("POST", "/api/v1/posts", {}, '{"text": "a", "text": "b"}'),
    "no text": ("POST", "/api/v1/posts", {}, "{}"),
    "nothing": ("POST", "/api/v1/posts", {}, ""),
    "null": ("POST", "/api/v1/posts", {}, "null"),
    "a list": ("POST", "/api/v1/posts", {}, "[]"),
    "an unknown field": ("POST", "/api/v1/posts", {}, '{"text": "a", "txet": "b"}'),
    "a body where none belongs": ("PUT", "{post}/like", {}, '{"a": 1}'),
    "a forged token": ("POST", "/api/v1/posts", {"HTTP_AUTHORIZATION": "Bearer e30.e30.x"}, '{"text": "a"}'),
    "another scheme": ("POST", "/api/v1/posts", {"HTTP_AUTHORIZATION": "Basic e30"}, '{"text": "a"}'),
    "an empty key": ("POST", "/api/v1/posts", {"HTTP_IDEMPOTENCY_KEY": ""}, '{"text": "a"}'),
    "an ETag that is none": ("PATCH", "{post}", {"HTTP_IF_MATCH": "x"}, '{"text": "a"}'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_in_the_same_words(stack, mine, post, name):
    method, path, headers, body = REFUSED[name]
    ((through, before, passed_on),) = ask_both(stack, [(method, path.format(post=post), mine | headers, body)])
    assert not passed_on
    assert before[0][0] == "4"
    assert alike(before) == alike(through)


def test_a_key_counts_and_a_token_may_come(stack, user, mine, post):
    token = user.put(f"{post}/like").token
    headers = mine | {"HTTP_IDEMPOTENCY_KEY": "plain", "HTTP_CONSISTENCY_TOKEN": token}
    ((through, before, passed_on),) = ask_both(stack, [("POST", "/api/v1/posts", headers, '{"text": "once"}')])
    assert not passed_on
    assert json.loads(before[2]) == json.loads(through[2])
    assert dict(before[1])["Idempotent-Replayed"] == "true"


def test_in_production_too(stack, mine):
    headers = mine | {"HTTP_X_FORWARDED_PROTO": "https"}
    request = ("POST", "/api/v1/posts", headers, '{"text": "safe"}')
    ((through, before, passed_on),) = ask_both(stack, [request], SECURE_TRANSPORT="true")
    assert not passed_on
    assert alike(before) == alike(through)
    assert "Strict-Transport-Security" in dict(before[1])


UNUSUAL = {
    "a session": {"HTTP_COOKIE": "sessionid=x"},
    "a wait": {"HTTP_PREFER": "wait=1"},
    "a page of another origin": {"HTTP_ORIGIN": "https://evil.example"},
    "a page": {"HTTP_ACCEPT": "text/html"},
    "a form": {"CONTENT_TYPE": "application/x-www-form-urlencoded"},
    "another host": {"HTTP_HOST": "evil.example"},
    "a token that is none": {"HTTP_CONSISTENCY_TOKEN": "x"},
    "too much": {"CONTENT_LENGTH": "1048577"},
    "no length": {"HTTP_TRANSFER_ENCODING": "chunked"},
    "another method": {"REQUEST_METHOD": "TRACE"},
    "a method that the view has not": {"REQUEST_METHOD": "DELETE"},
    "no route": {"PATH_INFO": "/api/v1/nowhere"},
    "not ASCII": {"PATH_INFO": "/api/v1/users/\u00c3\u00a4"},
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_everything_unusual_is_left_to_django(stack, mine, name):
    ((through, before, passed_on),) = ask_both(
        stack, [("POST", "/api/v1/posts", mine | UNUSUAL[name], '{"text": "unusual"}')]
    )
    assert passed_on
    assert before[0] == through[0]


def test_who_shows_no_access_token_goes_through_django(stack):
    ((_, before, passed_on),) = ask_both(stack, [("POST", "/api/v1/posts", JSON, '{"text": "unusual"}')])
    assert passed_on and before[0].startswith("401")
