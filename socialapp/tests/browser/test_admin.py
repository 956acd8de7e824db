"""The admin as an operator uses it. What is changed there goes through commands, so the API shows it too."""

import secrets

import pytest
from django.contrib import admin
from django.urls import reverse
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from socialapp.tests.client import PASSWORD

pytestmark = pytest.mark.browser


def changelist(model) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def enter(visitor, name):
    visitor.log_in(name, "/admin/login/?next=/admin/")
    assert visitor.path == "/admin/" and visitor.find("#site-name").text == "socialapp"


def test_every_table_can_be_opened_and_searched(visitor, operator, user, other_user):
    post = user.create_post("something to look at")
    other_user.post(f"/api/v1/posts/{post['id']}/comments", {"text": "a remark"}, prefer="wait=5")
    other_user.put(f"/api/v1/posts/{post['id']}/like", prefer="wait=5")
    enter(visitor, operator)
    for model, page in admin.site._registry.items():
        searches = ("", f"?q={post['id']}", "?q=words") if page.search_fields else ("",)
        for search in searches:
            visitor.open(changelist(model) + search)
            assert visitor.find_all("#changelist"), f"{changelist(model)}{search}: {visitor.text[:200]}"
    assert visitor.errors() == []


def test_every_row_can_be_opened_and_no_secret_is_shown(visitor, operator, user):
    user.create_post("something to look at")
    enter(visitor, operator)
    for model in admin.site._registry:
        visitor.open(changelist(model))
        rows = visitor.find_all("#result_list tbody th a")
        if rows:
            visitor.go(rows[0])
            assert visitor.find_all(".form-row"), f"{visitor.path}: {visitor.text[:200]}"
            assert "argon2" not in visitor.driver.page_source


def test_posts_are_searched_and_filtered(visitor, operator, user):
    word = secrets.token_hex(5)
    kept, deleted = user.create_post(f"kept {word}"), user.create_post(f"deleted {word}")
    assert user.delete(f"/api/v1/posts/{deleted['id']}", prefer="wait=5").status == 204
    enter(visitor, operator)
    found = {
        "": {f"kept {word}", f"deleted {word}"},
        "&deleted=no": {f"kept {word}"},
        "&deleted=yes": {f"deleted {word}"},
    }
    for choice, texts in found.items():
        visitor.open(f"/admin/posts/post/?q={word}{choice}")
        assert {row.text for row in visitor.find_all("#result_list tbody th")} == texts
    for search in (kept["id"], user.username):
        visitor.open(f"/admin/posts/post/?deleted=no&q={search}")
        assert [row.text for row in visitor.find_all("#result_list tbody th")] == [f"kept {word}"]


def test_an_edited_post_shows_in_the_api(visitor, operator, user):
    path = f"/api/v1/posts/{user.create_post('as it was')['id']}"
    enter(visitor, operator)
    visitor.open(f"/admin/posts/post/{path[-36:]}/change/")
    visitor.write("[name=text]", "as the operator wants it")
    visitor.go(visitor.find("[name=_continue]"))
    assert "was changed successfully" in visitor.find(".messagelist .success").text
    visitor.open(path)
    assert '"text": "as the operator wants it"' in visitor.text, "an operator's token shows their own edit"
    visitor.until(lambda driver: user.get(path).json()["text"] == "as the operator wants it")


def test_posts_are_deleted_by_the_action_and_stay_as_tombstones(visitor, operator, user):
    word = secrets.token_hex(5)
    path = f"/api/v1/posts/{user.create_post(f'spam {word}')['id']}"
    enter(visitor, operator)
    visitor.open(f"/admin/posts/post/?q={word}")
    delete_selected(visitor)
    visitor.go(visitor.find("#content [type=submit]"))
    assert "Successfully deleted 1 post" in visitor.find(".messagelist .success").text
    visitor.until(lambda driver: user.get(path).status == 410)
    visitor.open(f"/admin/posts/post/?q={word}")
    delete_selected(visitor)
    assert "Cannot delete post" in visitor.text and "(deleted already)" in visitor.text


def delete_selected(visitor):
    visitor.find("#result_list tbody [name=_selected_action]").click()
    Select(visitor.find("[name=action]")).select_by_value("delete_selected")
    visitor.go(visitor.find("#changelist-form .actions button"))


def test_a_refused_edit_says_why(visitor, operator, user):
    path = f"/api/v1/posts/{user.create_post('about to go')['id']}"
    enter(visitor, operator)
    visitor.open(f"/admin/posts/post/{path[-36:]}/change/")
    assert user.delete(path, prefer="wait=5").status == 204
    visitor.write("[name=text]", "too late")
    visitor.go(visitor.find("[name=_save]"))
    assert "403" in visitor.text and not visitor.driver.find_elements(By.CSS_SELECTOR, ".messagelist .success")


def test_staff_may_look_and_moderate_but_not_make_staff(visitor, operator, user, other_user):
    post = other_user.create_post("for the new operator")
    enter(visitor, operator)
    visitor.open(f"/admin/accounts/user/?q={user.username}")
    visitor.go(visitor.link(user.username))
    visitor.find("[name=is_staff]").click()
    visitor.go(visitor.find("[name=_save]"))
    assert "was changed successfully" in visitor.find(".messagelist .success").text
    visitor.go(visitor.find("#logout-form button"))

    enter(visitor, user.username)
    visitor.open(f"/admin/posts/post/{post['id']}/change/")
    assert visitor.find_all("[name=_save]")
    visitor.open(f"/admin/accounts/user/?q={user.username}")
    visitor.go(visitor.link(user.username))
    assert not visitor.find_all("[name=_save]") and not visitor.find_all("[name=is_staff]")


def test_who_is_not_staff_does_not_get_in(visitor, user):
    visitor.log_in(user.username, "/admin/login/?next=/admin/", PASSWORD)
    assert visitor.path == "/admin/login/" and "staff account" in visitor.text
