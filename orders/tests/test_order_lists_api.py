"""GET /orders through the gateway: who sees what, how it is paged, and when the cache is gone."""

import json
import re

import pytest

from orders.tests.conftest import ORDERS
from orders.tests.test_orders_api import LATER, place
from socialapp.tests.client import Answer, Api
from socialapp.tests.http.browser import Browser
from socialapp.tests.topology.test_frozen_cache import frozen, timed_get

PAGE_TOKEN = re.compile(rb'"csrfToken": *"([^"]+)"')


@pytest.fixture(scope="module")
def tea(shelve) -> str:
    return shelve({"name": "Tea", "price": "3.35", "stock": 1000})[0]


def ordered(api: Api, tea: str, count: int = 1) -> list[str]:
    """Ids of new orders of one user, newest first, and a token in the client's headers that shows them."""
    answers = [place(api, {tea: 1}, payment_method=LATER) for _ in range(count)]
    assert {answer.status for answer in answers} == {201}
    api.headers["Consistency-Token"] = answers[-1].token
    return [answer.json()["id"] for answer in reversed(answers)]


def ids(answer) -> list[str]:
    assert answer.status == 200, answer.body
    return [order["id"] for order in answer.json()["results"]]


def test_pages_lead_to_their_neighbours(user, tea, payments_rest):
    made = ordered(user, tea, 5)
    payments_rest(user)
    first = user.get(f"{ORDERS}?limit=2")
    page = first.json()
    assert {**page, "results": 0, "next": 0} == {
        "results": 0, "page": 1, "limit": 2, "total": 5, "next": 0, "previous": None,
    }  # fmt: skip
    assert ids(first) == made[:2] and page["next"].endswith("/orders?page=2&limit=2")
    second = user.get(page["next"])
    last = user.get(second.json()["next"])
    assert ids(second) == made[2:4] and ids(last) == made[4:] and last.json()["next"] is None
    assert user.get(last.json()["previous"]).json() == second.json()
    assert page["results"][0] == user.get(f"{ORDERS}/{made[0]}").json()
    beyond = user.get(f"{ORDERS}?page=9&limit=2").json()
    assert (beyond["results"], beyond["total"], beyond["next"]) == ([], 5, None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"), ("page=-1", "page"), ("page=x", "page"), ("page=", "page"), ("page=1e3", "page"),
        ("page=502", "page"), ("page=102&limit=100", "page"), ("page=9999999", "page"),
        ("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("limit=", "limit"),
    ],
)  # fmt: skip
def test_what_is_no_page_is_refused(user, query, field):
    answer = user.get(f"{ORDERS}?{query}")
    assert (answer.status, answer.json()["code"]) == (400, "validation_error")
    assert answer.json()["errors"][0]["field"] == field


def test_how_far_pages_go_is_said(user):
    assert user.get(f"{ORDERS}?page=101&limit=100").status == 200
    assert "101 is the last" in user.get(f"{ORDERS}?page=102&limit=100").json()["detail"]


def test_own_orders_are_seen_at_once(user, tea):
    for count in range(1, 4):
        newest = ordered(user, tea)[0]
        answer = user.get(ORDERS)
        assert answer.headers["Consistency"] == "strong" and answer.json()["total"] == count
        assert ids(answer)[0] == newest
    user.headers["Consistency-Token"] = user.delete(f"{ORDERS}/{newest}").token
    shown = user.get(ORDERS).json()["results"][0]
    assert (shown["id"], shown["status"]) == (newest, "cancelled")


def test_nobody_sees_the_orders_of_another(api, user, other_user, tea):
    """With the same URL at the same gateway, in turns, and whatever the parameters say."""
    mine, theirs = ordered(user, tea, 2), ordered(other_user, tea, 1)
    for query in ("", "?page=1", f"?user_id={other_user.username}", f"?user={theirs[0]}", "?limit=20&page=1"):
        assert ids(user.get(ORDERS + query)) == mine
        assert ids(other_user.get(ORDERS + query)) == theirs
        assert api.get(ORDERS + query).status == 401
    for query in ("?scope=all", "?status=pending", "?scope=all&status=pending", "?scope=", "?status=", "?scope=mine"):
        answer = user.get(ORDERS + query)
        assert (answer.status, answer.json()["code"]) == (403, "forbidden"), query
    assert Api(user.at, headers={"Authorization": "Bearer forged"}).get(ORDERS).status == 401


def test_nobody_in_between_keeps_it(user, tea, payments_rest):
    ordered(user, tea)
    payments_rest(user)
    del user.headers["Consistency-Token"]
    answers = [user.get(ORDERS) for _ in range(2)]
    for answer in answers:
        assert answer.headers["Cache-Control"] == "private, no-cache"
        assert {"Authorization", "Cookie"} <= set(answer.headers["Vary"].replace(" ", "").split(","))
        assert "hit" not in answer.headers.get("Cache-Status", "")
    etag = answers[0].headers["ETag"]
    assert not etag.startswith("W/") and user.get(ORDERS, if_none_match=etag).status == 304
    made = ordered(user, tea)
    again = user.get(ORDERS, if_none_match=etag)
    assert again.status == 200 and ids(again)[0] == made[0]


def test_staff_sees_all_and_narrows_by_status(staff, user, tea):
    token = {"consistency_token": place(user, {tea: 1}, payment_method=LATER).token}
    (pending,) = ids(user.get(ORDERS, **token))
    assert pending in ids(staff.get(f"{ORDERS}?scope=all&limit=100", **token))
    assert pending in ids(staff.get(f"{ORDERS}?scope=all&status=pending&limit=100", **token))
    assert pending not in ids(staff.get(f"{ORDERS}?scope=all&status=shipped", **token))
    assert pending not in ids(staff.get(ORDERS, **token)), "without a scope it is the staff's own list"
    page = staff.get(f"{ORDERS}?scope=all&status=pending&limit=1", **token).json()
    assert page["next"] is None or "?scope=all&status=pending&page=2&limit=1" in page["next"]
    for query in ("scope=mine", "status=pending", "scope=all&status=gone", "scope=all&status=pending%0a"):
        assert staff.get(f"{ORDERS}?{query}").status == 400, query


@pytest.mark.parametrize("scope", ["", "?scope=all"])
def test_a_frozen_cache_costs_no_failed_read(stack, staff, tea, scope):
    newest = ordered(staff, tea)[0]
    reader = Api(stack.socket("read-1"), headers=dict(staff.headers))
    with frozen(stack.pid("valkey-cache")):
        timed = [timed_get(reader, ORDERS + scope) for _ in range(20)]
    answers, seconds = zip(*timed, strict=True)
    assert {answer.status for answer in answers} == {200} and ids(answers[0])[0] == newest
    assert sorted(seconds)[10] < 0.1


def test_a_browser_reads_and_orders_once_per_page(user, tea):
    """Its page has no Idempotency-Key to send: the page's own CSRF token and what is in the form stand for it."""
    browser = Browser(Api(user.at))
    browser.log_in(user.username)
    page = browser.get(ORDERS)
    assert page.status == 200 and b"My orders" in page.body and page.headers["Cache-Control"] == "private, no-store"
    token = PAGE_TOKEN.search(page.body)[1].decode()

    def send(quantity: int, **headers: str) -> Answer:
        body = json.dumps({"items": [{"product_id": tea, "quantity": quantity}], "payment_method": LATER}).encode()
        return browser.request(
            "POST", ORDERS, body, Content_Type="application/json", **{"X_CSRFToken": token} | headers
        )

    twice = [send(2), send(2)]
    assert [answer.status for answer in twice] == [201, 201] and "Idempotent-Replayed" in twice[1].headers
    assert send(3).status == 201 and send(2, X_CSRFToken="forged").status == 403
    plain = browser.get(ORDERS, Accept="application/json").json()
    assert [order["items"][0]["quantity"] for order in plain["results"]] == [3, 2]
    assert b"quantity" in browser.get(ORDERS).body
