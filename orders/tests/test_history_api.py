"""GET /orders/{id}/events through the gateway."""

from datetime import datetime, timedelta
from urllib.parse import quote

import pytest

from orders.tests.test_orders_api import LATER, of, place
from socialapp.cqrs.ids import new_id
from socialapp.tests.client import Api


@pytest.fixture
def order(user, shelve, eventually) -> dict:
    """Placed, asked to be paid, changed and cancelled; the client's token shows all of it."""
    (tea,) = shelve({"name": "Tea", "price": "3.35"})
    placed = place(user, {tea: 2}, payment_method=LATER)
    assert placed.status == 201, placed.body
    order = placed.json()
    home = {"name": "Ann", "line1": "Lane 1", "city": "Town", "country": "DE"}
    address = user.post("/api/v1/addresses", home).json()["id"]
    eventually(lambda: user.get(of(order)).json()["payment"]["status"] == "unknown")
    changed = user.put(of(order), {"address_id": address})
    assert changed.status == 200, changed.body
    user.headers["Consistency-Token"] = user.delete(of(order)).token
    return order


def events_of(api: Api, order: dict, query: str = ""):
    return api.get(f"{of(order)}/events{query}")


def test_all_that_happened_oldest_first(user, order):
    answer = events_of(user, order)
    told = answer.json()["results"]
    assert answer.headers["Consistency"] == "strong" and answer.headers["Cache-Control"] == "private, no-store"
    assert [one["type"] for one in told] == [
        "OrderPlaced", "PaymentMoved", "PaymentMoved", "OrderAddressChanged", "OrderCancelled",
    ]  # fmt: skip
    assert [one["version"] for one in told] == [1, 2, 3, 4, 5] and told == sorted(told, key=lambda one: one["time"])
    placed, under_way, unknown, address, cancelled = (one["data"] for one in told)
    assert placed["items"] == order["items"] and placed["total"] == order["total"]
    assert (under_way["payment"], unknown["payment"]) == ("under_way", "unknown")
    assert address["address"]["line1"] == "Lane 1"
    assert (cancelled["status"], cancelled["former"], cancelled["reason"]) == (
        "cancelled", "pending", "by the customer",
    )  # fmt: skip
    hidden = {"order_id", "user_id", "attempt_id", "payment_token", "command_id"}
    assert not any(hidden & one["data"].keys() or hidden & one.keys() for one in told)
    assert "state" not in answer.json()


def test_what_it_was_at_some_time(user, order):
    told = events_of(user, order).json()["results"]
    first = datetime.fromisoformat(told[0]["time"])
    then = events_of(user, order, f"?at={quote(told[0]['time'])}").json()
    assert then["results"] == told[:1]
    state = then["state"]
    assert {
        name: order[name] for name in ("id", "number", "status", "items", "total", "address")
    }.items() <= state.items()
    assert (state["payment"], state["version"]) == ({"status": told[0]["data"]["payment"]}, 1)
    changed = events_of(user, order, f"?at={quote(told[3]['time'])}").json()["state"]
    assert (changed["version"], changed["address"]["city"], changed["status"]) == (4, "Town", "pending")
    last = events_of(user, order, "?at=2999-01-01T00:00:00Z").json()
    now = user.get(of(order)).json()
    assert last["results"] == told
    assert (last["state"]["status"], last["state"]["version"]) == (now["status"], now["version"])
    for before in (first - timedelta(seconds=1), datetime.fromisoformat("2001-01-01T00:00:00+02:00")):
        answer = events_of(user, order, f"?at={before.isoformat()}")
        assert answer.status == 404 and "placed at" in answer.json()["detail"], "with a plus that was not escaped, too"


@pytest.mark.parametrize(
    "at", ["", "yesterday", "2026-01-15", "2026-01-15T11:00:00", "2026-02-30T11:00:00Z", "9999-99-99T11:00:00Z", "1"]
)
def test_what_is_no_time_is_refused(user, order, at):
    answer = events_of(user, order, f"?at={at}")
    assert (answer.status, answer.json()["errors"][0]["field"]) == (400, "at")


def test_it_is_for_its_owner_and_staff(api, user, other_user, staff, order):
    assert api.get(f"{of(order)}/events").status == 401
    assert events_of(other_user, order).status == 404 and events_of(other_user, order, "?at=x").status in (400, 404)
    assert events_of(user, {"id": new_id()}).status == 404
    shown = events_of(staff, order)
    assert shown.status == 200 and shown.json() == events_of(user, order).json()
