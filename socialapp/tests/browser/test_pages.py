"""Pages at the level of HTTP: who may keep them, what errors look like, what the read pool needs for them."""

import pytest

from socialapp.tests.browser.visitor import PlainVisitor

PAGES = ["/api/v1/", "/api/v1/posts", "/api/v1/timelines/public?limit=1", "/api/v1/docs", "/auth/login/"]


@pytest.fixture
def member(stack_url, user) -> PlainVisitor:
    """The fixture `user`, logged in with a session."""
    member = PlainVisitor(stack_url)
    member.log_in(user.username)
    return member


@pytest.mark.parametrize("path", PAGES)
def test_nobody_keeps_a_page(plain, member, path):
    for visitor in (member, plain, member, plain):
        page = visitor.open(path)
        assert (page.status, page.headers.get_content_type()) == (200, "text/html")
        assert {"private", "no-store"} <= set(page.headers["Cache-Control"].replace(" ", "").split(","))
        assert "hit" not in (page.headers["Cache-Status"] or "")


def test_a_page_belongs_to_its_reader(plain, member, user):
    path = f"/api/v1/posts/{user.create_post('for two readers')['id']}"
    for _ in range(2):
        assert user.username in member.open(path).body and "Log out" in member.open(path).body
        page = plain.open(path).body
        assert "for two readers" in page and "Log in" in page
        assert "Log out" not in page and 'data-method="PATCH"' not in page


def test_the_gateway_keeps_json_and_pages_apart(plain, api, user):
    path = f"/api/v1/posts/{user.create_post('in two forms')['id']}"
    assert api.get(path).headers["Content-Type"] == "application/json"
    assert plain.open(path).headers.get_content_type() == "text/html"
    again = api.get(path)
    assert (again.headers["Content-Type"], again.json()["text"]) == ("application/json", "in two forms")
    assert plain.open(f"{path}?format=json").headers.get_content_type() == "application/json"


def test_reading_pages_changes_nothing_for_the_session(member):
    """The read pool may not write; nor does it have to."""
    for path in ("/api/v1/posts", "/api/v1/me"):
        assert "sessionid" not in (member.open(path).headers["Set-Cookie"] or "")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/nothing", {}, 404),
        ("/api/v1/nothing", {}, 404),
        ("/api/v1/posts/0192f0a0-0000-7000-8000-000000000000", {}, 404),
        ("/api/v1/me", {}, 401),
        ("/api/v1/posts", {"Authorization": "Bearer expired"}, 401),
        ("/api/v1/posts?limit=0", {}, 400),
        ("/api/v1/auth/register", {}, 405),
    ],
)
def test_errors_are_pages_for_browsers_and_documents_for_programs(plain, path, headers, status):
    page = plain.open(path, **headers)
    assert (page.status, page.headers.get_content_type()) == (status, "text/html")
    assert page.headers["Cache-Control"] == "private, no-store"
    assert "socialapp" in page.body
    document = plain.open(path, Accept="application/json", **headers)
    assert (document.status, document.headers.get_content_type()) == (status, "application/problem+json")


def test_a_form_without_its_token_is_refused(plain, member):
    assert plain.open("/auth/login/", {"username": "a", "password": "b"}).status == 403
    refused = member.open("/api/v1/posts", {"text": "forged"})
    assert refused.status == 403 and "CSRF" in refused.body


@pytest.mark.parametrize("path", ["", "/like", "/comments"])
def test_options_tells_the_fields_of_each_body(user, path):
    post = user.create_post()
    answer = user.request("OPTIONS", f"/api/v1/posts/{post['id']}{path}")
    assert answer.status == 200
    actions = answer.json()["actions"]
    assert actions == {"PUT": {}} if path == "/like" else all("text" in fields for fields in actions.values())


def test_text_of_users_is_escaped(plain, user):
    text = '<script>alert(1)</script> "username": "x" javascript:alert(1)'
    page = plain.open(f"/api/v1/posts/{user.create_post(text)['id']}").body
    assert "<script>alert" not in page and 'href="javascript' not in page and 'href="/api/v1/users/x"' not in page
