"""A hit that is answered in front of Django's cycle differs in nothing from one that goes through it."""

import json
import os
import subprocess
import sys

import pytest

from socialapp.tests.fixtures import CHECKOUT

# Asks one process of the read role twice: the application as it is served, and what it wraps.
SCRIPT = """
import io, json, sys
from config.wsgi import application

def ask(wsgi, path, headers):
    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, "SCRIPT_NAME": "", "SERVER_NAME": "x",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "127.0.0.1:8000", "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(), "HTTP_X_REQUEST_ID": "the-same",
    } | headers
    started = []
    answer = wsgi(environ, lambda status, headers: started.append((status, sorted(headers))))
    body = b"".join(answer).decode()
    return [*started[0], body]

passed = []
def counting(environ, start_response):
    passed.append(environ["PATH_INFO"])
    return django(environ, start_response)
front = application._application
django, front._application = front._application, counting

for path, headers in json.load(sys.stdin):
    ask(django, path, headers)
    del passed[:]
    through, before = ask(django, path, headers), ask(application, path, headers)
    print(json.dumps([through, before, bool(passed)]))
"""


def ask_both(stack, requests: list, **environment: str) -> list:
    """[(Django's answer, the answer as served, whether Django was asked for it)]; an answer: status, headers, body."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(requests),
        env=os.environ | stack.environment("read") | environment,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture
def paths(user) -> list[str]:
    post = f"/api/v1/posts/{user.create_post('hit')['id']}"
    user.create_post("another")
    comment = user.post(f"{post}/comments", {"text": "a comment"}, prefer="wait=5").json()
    assert user.put(f"{post}/like", prefer="wait=5").status == 200
    author = f"/api/v1/users/{user.username}"
    lists = [f"{post}/comments", f"{post}/like", f"{post}/likes", f"{author}/posts", f"{author}/posts?limit=1"]
    return [post, f"/api/v1/comments/{comment['id']}", author, *lists]


def test_hits_are_the_same_to_the_last_header(stack, paths):
    for path, (through, before, passed_on) in zip(paths, ask_both(stack, [(path, {}) for path in paths]), strict=True):
        assert not passed_on, f"{path} was not answered from the cache alone"
        assert before == through
        assert before[0] == "200 OK"


def test_in_production_too(stack, paths):
    secure = {"HTTP_X_FORWARDED_PROTO": "https"}
    answers = ask_both(stack, [(path, secure) for path in paths], SECURE_TRANSPORT="true")
    for through, before, passed_on in answers:
        assert not passed_on
        assert before == through
        assert "Strict-Transport-Security" in dict(before[1])


def test_what_came_without_tls_is_redirected_by_django(stack, paths):
    for _, before, passed_on in ask_both(stack, [(paths[0], {})], SECURE_TRANSPORT="true"):
        assert passed_on and before[0].startswith("301")


def test_not_modified_is_the_same_too(stack, paths):
    first = ask_both(stack, [(path, {}) for path in paths])
    tags = [dict(before[1])["ETag"] for _, before, _ in first]
    requests = [(path, {"HTTP_IF_NONE_MATCH": tag}) for path, tag in zip(paths, tags, strict=True)]
    for through, before, passed_on in ask_both(stack, requests):
        assert not passed_on
        assert before == through
        assert before[0] == "304 Not Modified" and before[2] == ""


def test_a_cdn_is_told_its_own_lifetime_if_there_is_one(stack, paths):
    for age, expected in (("0", None), ("5", "public, max-age=5, stale-while-revalidate=1, stale-if-error=60")):
        ((through, before, passed_on),) = ask_both(stack, [(paths[0], {})], CDN_MAX_AGE=age)
        assert not passed_on and before == through
        assert dict(before[1]).get("CDN-Cache-Control") == expected


def test_nobody_stores_what_carries_a_token(stack, user, paths):
    token = user.put(f"{paths[0]}/like", prefer="wait=5").token
    ((_, before, passed_on),) = ask_both(stack, [(paths[0], {"HTTP_CONSISTENCY_TOKEN": token})], CDN_MAX_AGE="5")
    headers = dict(before[1])
    assert passed_on and headers["Consistency"] == "strong"
    assert headers["Cache-Control"] == "private, no-cache"
    assert not {"CDN-Cache-Control", "X-Accel-Expires"} & headers.keys()


UNUSUAL = {
    "a session": ("{post}", {"HTTP_COOKIE": "sessionid=x"}),
    "a user": ("{post}", {"HTTP_AUTHORIZATION": "Bearer x"}),
    "a token": ("{post}", {"HTTP_CONSISTENCY_TOKEN": "x"}),
    "a page": ("{post}", {"HTTP_ACCEPT": "text/html"}),
    "a page by its name": ("{post}?format=api", {}),
    "another method": ("{post}", {"REQUEST_METHOD": "OPTIONS"}),
    "another host": ("{post}", {"HTTP_HOST": "evil.example"}),
    "nothing there": ("/api/v1/posts/01a00000-0000-7000-8000-000000000000", {}),
    "a limit that is none": ("/api/v1/posts?limit=x", {}),
    "a cursor that is none": ("/api/v1/posts?cursor=x", {}),
    "no route": ("/api/v1/nowhere", {}),
    "not ASCII": ("/api/v1/users/\u00c3\u00a4/posts", {}),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_everything_unusual_is_left_to_django(stack, paths, name):
    path, headers = UNUSUAL[name]
    ((through, before, passed_on),) = ask_both(stack, [(path.format(post=paths[0]), headers)])
    assert passed_on
    assert before[0] == through[0]
