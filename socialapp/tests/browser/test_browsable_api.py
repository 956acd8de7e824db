"""The browsable API as a person uses it: log in, post, comment, like, log out."""

import secrets

import pytest
from selenium.webdriver.support.expected_conditions import element_to_be_clickable

from socialapp.tests.client import PASSWORD

pytestmark = pytest.mark.browser


def confirm_deletion(visitor):
    """Press DELETE, and again in the dialogue that slides in."""
    visitor.find("[data-target='#delete-dialog']").click()
    visitor.until(lambda driver: "in" in visitor.find("#delete-dialog").get_attribute("class").split())
    visitor.go(visitor.until(element_to_be_clickable(visitor.find("#delete-dialog .btn-danger"))))


def test_log_in_post_comment_like_and_log_out(visitor, user):
    visitor.log_in(user.username)
    assert visitor.path == "/api/v1/"
    visitor.go(visitor.link("Posts"))
    visitor.write("#post-fields [name=text]", "Written in a #browser")
    visitor.go(visitor.find("#post-fields button"))
    assert "HTTP 201 Created" in visitor.text

    location = visitor.find(".response-info a[href*='/posts/']").get_attribute("href")
    visitor.go(visitor.find(f"a[href='{location}']"))
    assert visitor.driver.current_url == location
    assert '"text": "Written in a #browser"' in visitor.text

    visitor.go(visitor.link("Comments"))
    visitor.write("#post-fields [name=text]", "A remark")
    visitor.go(visitor.find("#post-fields button"))
    assert "HTTP 201 Created" in visitor.text and '"text": "A remark"' in visitor.text

    visitor.open(f"{location}/like")
    visitor.go(visitor.find("form[data-method=PUT] button"))
    assert '"like_count": 1' in visitor.text and '"comment_count": 1' in visitor.text
    confirm_deletion(visitor)
    assert "HTTP 204 No Content" in visitor.text
    visitor.go(visitor.link("Post"))
    assert '"like_count": 0' in visitor.text

    visitor.go(visitor.find("#log-out button"))
    assert visitor.path == "/api/v1/" and visitor.link("Log in")
    assert visitor.errors() == []


def test_an_author_edits_and_deletes_with_the_buttons(visitor, user, other_user):
    path = f"/api/v1/posts/{user.create_post('First words')['id']}"
    visitor.log_in(user.username)
    visitor.open(path)
    assert visitor.find("#patch-fields [name=text]").text == "First words"
    visitor.write("#patch-fields [name=text]", "Second words")
    visitor.go(visitor.find("#patch-fields button"))
    assert "HTTP 200 OK" in visitor.text and '"text": "Second words"' in visitor.text
    confirm_deletion(visitor)
    assert "HTTP 204 No Content" in visitor.text
    visitor.open(path)
    assert "This post was deleted." in visitor.text
    assert not visitor.find_all("form.form-horizontal, form[data-method=DELETE]")

    visitor.open(f"/api/v1/posts/{other_user.create_post('Theirs')['id']}")
    assert '"text": "Theirs"' in visitor.text
    assert not visitor.find_all("form.form-horizontal, form[data-method=DELETE]"), "only authors edit and delete"


def test_a_refused_form_comes_back_with_the_reasons(visitor):
    visitor.open("/api/v1/")
    visitor.go(visitor.link("Register"))
    name = f"person_{secrets.token_hex(4)}"
    visitor.write("[name=username]", name)
    visitor.write("[name=password]", "short")
    visitor.go(visitor.find("#post-fields button"))
    assert "HTTP 400 Bad Request" in visitor.text and "too short" in visitor.find("#post-fields").text
    assert visitor.find("[name=username]").get_attribute("value") == name
    assert visitor.find("[name=password]").get_attribute("value") == ""
    visitor.write("[name=password]", PASSWORD)
    visitor.go(visitor.find("#post-fields button"))
    assert "HTTP 201 Created" in visitor.text
    visitor.log_in(name)
    visitor.go(visitor.link("Me"))
    assert f'"username": "{name}"' in visitor.text


def test_json_can_be_sent_as_well(visitor, user):
    visitor.log_in(user.username)
    visitor.open("/api/v1/posts")
    visitor.find("[name=raw-tab]").click()
    visitor.until(lambda driver: visitor.find("#post-json textarea").is_displayed())
    visitor.write("#post-json textarea", '{"text": "From JSON"}')
    visitor.go(visitor.find("#post-json button"))
    assert "HTTP 201 Created" in visitor.text and '"text": "From JSON"' in visitor.text


def test_pages_of_a_list_are_linked(visitor, user):
    first = user.create_post("first of two")
    user.create_post("second of two")
    visitor.open(f"/api/v1/users/{user.username}/posts?limit=1")
    assert "second of two" in visitor.text
    visitor.go(visitor.find("a[rel=next]"))
    assert "first of two" in visitor.text and not visitor.find_all("a[rel=next]")
    visitor.go(visitor.link(first["id"]))
    assert visitor.path == f"/api/v1/posts/{first['id']}"
    visitor.go(visitor.link(user.username))
    assert visitor.path == f"/api/v1/users/{user.username}"


def test_a_page_that_needs_a_log_in_leads_there_and_back(visitor, user):
    visitor.open("/api/v1/me")
    assert "HTTP 401 Unauthorized" in visitor.text
    visitor.go(visitor.find(".alert a"))
    visitor.write("[name=username]", user.username)
    visitor.write("[name=password]", PASSWORD)
    visitor.go(visitor.find("[type=submit]"))
    assert visitor.path == "/api/v1/me" and f'"username": "{user.username}"' in visitor.text
