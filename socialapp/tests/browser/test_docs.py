"""Swagger UI works without any host but our own."""

import pytest

pytestmark = pytest.mark.browser


def test_swagger_ui_shows_the_operations_offline(visitor):
    visitor.open("/api/v1/docs")
    visitor.until(lambda driver: visitor.find_all(".opblock-post"))
    operations = [element.text for element in visitor.find_all(".opblock-summary-path")]
    assert {"/api/v1/posts", "/api/v1/posts/{post_id}/like", "/api/v1/auth/token"} <= {
        operation.replace("\u200b", "") for operation in operations
    }
    visitor.find("#operations-posts-posts_create .opblock-summary-control").click()
    visitor.until(lambda driver: "NewPost" in visitor.text or "Idempotency-Key" in visitor.text)
    assert visitor.requested_hosts() == {"127.0.0.1"}
    assert visitor.errors() == []


def test_an_operation_can_be_tried_out_with_the_session(visitor, user):
    visitor.log_in(user.username)
    visitor.open("/api/v1/docs#/posts/posts_create")
    press(visitor, "#operations-posts-posts_create .try-out__btn")
    press(visitor, "#operations-posts-posts_create .execute")
    answer = visitor.until(lambda driver: visitor.find_all(".live-responses-table tbody .response-col_status"))
    assert "202" in answer[0].text


def press(visitor, css):
    """Swagger UI scrolls while it unfolds: a click at a place on the screen may miss."""
    button = visitor.until(lambda driver: visitor.find_all(css))[0]
    visitor.driver.execute_script("arguments[0].click()", button)


def test_the_pages_of_the_api_ask_no_other_host(visitor, user):
    user.create_post("with a link to https://example.org/")
    for path in ("/api/v1/", "/api/v1/posts", "/auth/login/", "/admin/login/", "/nothing"):
        visitor.open(path)
    assert visitor.requested_hosts() == {"127.0.0.1"}
