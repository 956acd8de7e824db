"""The admin in the hands of an operator who types anything: no address and no form of it fails."""

import pytest

from socialapp.tests.http.addresses import name, of_the_admin
from socialapp.tests.http.checks import refused

ADDRESSES = [address for address in of_the_admin() if "log" not in address]
QUERIES = [
    "", "q=hello", "q=%00", "q=%FF", "q=%22unclosed", "q=" + "a" * 3000, "o=999", "o=-1.x", "p=99999999999999999999",
    "p=-1", "p=x", "all=", "e=1", "x__y=1", "password__startswith=a", "id=zzz", "id=1%00", "id__in=", "type=%00",
    "deleted=zz", "_facets=True", "_popup=1", "time__gte=x", "accepted_at__gte=%00", "outcome__exact=%00",
    "partition__exact=99999999999999999999", "is_active__exact=9", "_changelist_filters=%00", "term=%00",
    "app_label=posts&model_name=like&field_name=user&term=%00", "app_label=no&model_name=no&field_name=no",
]  # fmt: skip
FORMS = [
    {}, {"action": "delete_selected", "_selected_action": "zz", "index": "0", "select_across": "0"},
    {"action": "\x00", "_selected_action": "\x00"},
    {"post": "yes", "action": "delete_selected", "_selected_action": "1"},
    {"text": "\x00", "name": "\x00", "is_active": "zz", "_save": "1"},
]  # fmt: skip
IDS = ["_00", "a_00b", "%00", "%FF", "9" * 30, "-1", "1", "x/../..", "_ZZ"]


@pytest.mark.parametrize("address", ADDRESSES, ids=name)
def test_no_query_and_no_form_makes_it_fail(operator, address):
    for query in QUERIES:
        assert operator.get(f"{address}?{query}").status < 500, query
    for form in FORMS:
        assert operator.submit(address, form).status < 500, form


@pytest.mark.parametrize("address", [address for address in ADDRESSES if "/x/" in address], ids=name)
def test_no_id_makes_it_fail(operator, address):
    for identifier in IDS:
        assert operator.get(address.replace("/x/", f"/{identifier}/", 1)).status < 500, identifier


def test_a_visitor_is_sent_to_the_log_in(browser):
    answer = browser.get("/admin/posts/post/")
    assert (answer.status, answer.headers["Location"]) == (302, "/admin/login/?next=/admin/posts/post/")


def test_a_user_is_no_operator(browser, member):
    browser.log_in(member.username)
    assert browser.get("/admin/posts/post/").status == 302


def test_a_form_without_its_token_is_refused(operator):
    answer = operator.request("POST", "/admin/posts/post/", b"action=delete_selected", Accept="application/json")
    refused(answer, 403, code="csrf_failed")
