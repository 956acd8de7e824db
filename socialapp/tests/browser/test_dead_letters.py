"""Dead letters in the hands of an operator: found by their error, read, edited, sent back, discarded."""

import json
import secrets

import pytest
from selenium.webdriver.support.ui import Select

from socialapp.tests.browser.test_admin import enter

pytestmark = pytest.mark.browser

LETTERS = "/admin/cqrs/deadletter/"
# Three comments that are too long for their column: a view refuses them, whoever applies them finds out.
MAKE = """
from uuid import UUID; from socialapp.cqrs.submit import submit; from posts.commands import *
for n in range(3):
    print(submit(CreateComment({post!r}, f"{word} {{n}}".ljust(2001, "!")), actor_id=UUID({author!r})).command_id)
"""


@pytest.fixture
def word() -> str:
    return secrets.token_hex(5)


@pytest.fixture
def letters(visitor, operator, user, manage, word) -> list[str]:
    """The ids of three letters that the stack's worker has buried; the operator looks at the list."""
    post = user.create_post("host")
    ids = manage("shell", "-v0", "-c", MAKE.format(post=post["id"], author=post["author"]["id"], word=word)).split()
    enter(visitor, operator)
    visitor.until(lambda driver: shown(visitor, ids[-1], ".field-state"))
    yield ids
    manage("dead_letters", "discard", "--reason=the test is over", "--yes", "--type=CreateComment", may_fail=True)


def shown(visitor, letter, css) -> list:
    """What a letter's page shows; nothing when there is no such letter (yet)."""
    visitor.open(f"{LETTERS}{letter}/change/")
    return visitor.find_all(css)


def test_they_are_grouped_by_error(visitor, letters):
    visitor.open(LETTERS)
    row = next(row for row in visitor.find_all(".letters-groups tbody tr") if "CreateComment" in row.text)
    assert "DataError: value too long" in row.text
    number = int(row.find_element("css selector", ".number").text)
    visitor.go(row.find_element("css selector", "a"))
    shown = {link.text for link in visitor.find_all("#result_list tbody th a")}
    assert set(letters) <= shown and len(shown) == min(number, 50)
    visitor.go(visitor.link("Show all errors"))
    assert visitor.find_all(".letters-groups")
    assert visitor.errors() == []


def test_one_is_legible(visitor, letters):
    visitor.open(f"{LETTERS}?q={letters[0]}")
    visitor.go(visitor.link(letters[0]))
    assert '"text"' in visitor.find(".field-shown_payload").text
    assert "Traceback (most recent call last)" in visitor.find(".field-shown_traceback").text
    assert "buried worker DataError" in visitor.find(".field-shown_history").text
    assert visitor.find(".field-shown_outcome .readonly").text == "failed"


def test_one_is_edited_and_goes_back(visitor, letters, operator, word):
    visitor.open(f"{LETTERS}{letters[0]}/change/")
    visitor.go(visitor.find(".object-tools a[href$='/edit/']"))
    payload = json.loads(visitor.find("[name=payload]").get_attribute("value"))
    visitor.write("[name=reason]", "the wrong word")
    visitor.write("[name=payload]", json.dumps(payload | {"text": 5}))
    visitor.go(visitor.find("#decision [type=submit]"))
    assert "text: This is not of type str." in visitor.find(".errorlist").text
    visitor.write("[name=payload]", json.dumps(payload | {"text": f"better {word}"}))
    visitor.go(visitor.find("#decision [type=submit]"))
    assert "edited and requeued" in visitor.find(".messagelist .success").text
    visitor.until(lambda driver: "applied" in shown(visitor, letters[0], ".field-shown_outcome")[0].text)
    history = visitor.find(".field-shown_history").text
    assert f"{operator} the wrong word" in history and f'"better {word}"' in history
    assert history.count("buried worker") == 1


def test_some_are_discarded_at_once(visitor, letters):
    visitor.open(LETTERS)
    for letter in letters[:2]:
        visitor.find(f"[name=_selected_action][value='{letter}']").click()
    Select(visitor.find("[name=action]")).select_by_value("discard_selected")
    visitor.go(visitor.find("#changelist-form .actions button"))
    assert "2 dead letters" in visitor.find("h1").text
    visitor.go(visitor.find("#decision [type=submit]"))
    assert "This field is required" in visitor.text
    visitor.write("[name=reason]", "spam")
    visitor.go(visitor.find("#decision [type=submit]"))
    assert "2 discarded." in visitor.find(".messagelist .success").text
    visitor.open(f"{LETTERS}{letters[0]}/change/")
    assert "spam" in visitor.find(".field-shown_history").text
    assert not visitor.find_all(".object-tools a"), "it is decided"
    visitor.open(f"{LETTERS}{letters[0]}/requeue/")
    assert "is discarded already" in visitor.find(".messagelist .warning").text


def test_staff_without_the_permission_may_only_look(visitor, letters, user, manage):
    make_staff = f"from socialapp.accounts.models import User; User.objects.filter(username={user.username!r})"
    manage("shell", "-c", f"{make_staff}.update(is_staff=True)")
    visitor.driver.delete_all_cookies()
    enter(visitor, user.username)
    visitor.open(f"{LETTERS}{letters[0]}/change/")
    assert visitor.find_all(".field-shown_traceback") and not visitor.find_all(".object-tools a")
    visitor.open(f"{LETTERS}{letters[0]}/discard/")
    assert "403" in visitor.text and not visitor.find_all("#decision")
    visitor.open(LETTERS)
    assert not visitor.find_all("[name=_selected_action]")
