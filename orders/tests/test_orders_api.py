"""Orders through the gateway, by the contract."""

import secrets
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from deploy.chaos import healing
from deploy.chaos.faults import kill
from orders.tests.conftest import ORDERS
from socialapp.tests.client import Answer, Api
from socialapp.tests.topology.test_frozen_cache import frozen, timed_get

# Never paid within these tests, so that it can be changed.
LATER = {"type": "card", "token": "timeout"}


def place(api: Api, items: dict[str, int], *, key: str | None = None, **fields) -> Answer:
    lines = [{"product_id": product, "quantity": quantity} for product, quantity in items.items()]
    return api.post(ORDERS, {"items": lines, **fields}, idempotency_key=key or secrets.token_hex(8))


@pytest.fixture
def tea(shelve) -> str:
    return shelve({"name": "Tea", "price": "3.35"})[0]


@pytest.fixture
def order(user, tea, eventually) -> dict:
    """Whose payment was asked for, and is unknown: nothing moves it for a while."""
    answer = place(user, {tea: 2}, payment_method=LATER)
    assert answer.status == 201, answer.body
    eventually(lambda: user.get(of(answer.json())).json()["payment"]["status"] == "unknown")
    return user.get(of(answer.json())).json()


def of(order: dict) -> str:
    return f"{ORDERS}/{order['id']}"


def stock(api: Api, product: str, answer: Answer) -> int:
    return api.get(f"/api/v1/products/{product}", consistency_token=answer.token).json()["stock"]


def test_an_order_as_the_contract_says(user, tea, payments_rest):
    answer = place(user, {tea: 2}, payment_method=LATER)
    order = answer.json()
    assert answer.status == 201 and answer.headers["Location"].endswith(of(order))
    assert (order["status"], order["total"]) == ("pending", {"amount": "6.70", "currency": "EUR"})
    assert (order["version"], order["address"]) == (1, None)
    assert order["items"][0] | {"sku": ""} == {
        "product_id": tea, "sku": "", "name": "Tea", "quantity": 2,
        "unit_price": {"amount": "3.35", "currency": "EUR"}, "total": {"amount": "6.70", "currency": "EUR"},
    }  # fmt: skip
    assert stock(user, tea, answer) == 8
    read = user.get(of(order), consistency_token=answer.token)
    assert (read.headers["Consistency"], read.json()["number"]) == ("strong", order["number"])
    assert read.headers["Cache-Control"].startswith("private")
    payments_rest(user)
    etag = user.get(of(order)).headers["ETag"]
    assert user.get(of(order), if_none_match=etag).status == 304


def test_a_key_is_required_and_makes_repeats_harmless(user, tea):
    body = {"items": [{"product_id": tea, "quantity": 1}], "payment_method": LATER}
    without = user.post(ORDERS, body)
    assert (without.status, without.json()["code"]) == (400, "idempotency_key_required")
    first, again = (user.post(ORDERS, body, idempotency_key="once") for _ in range(2))
    assert (first.status, again.status, again.headers["Idempotent-Replayed"]) == (201, 201, "true")
    assert first.json()["id"] == again.json()["id"] and stock(user, tea, again) == 9
    other = user.post(ORDERS, body | {"items": [{"product_id": tea, "quantity": 2}]}, idempotency_key="once")
    assert (other.status, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"items": []},
        {"items": [{"product_id": "tea", "quantity": 1}]},
        {"items": [{"product_id": str(secrets.token_hex(16)), "quantity": 0}]},
        {"items": [{"product_id": str(secrets.token_hex(16)), "quantity": 100}]},
        {"items": [{"product_id": str(secrets.token_hex(16)), "quantity": 1}], "coupon": "free"},
    ],
)
def test_what_is_no_order_is_refused(user, body):
    assert user.post(ORDERS, body, idempotency_key="x").status == 400


def test_strangers_see_and_change_nothing(api, other_user, order):
    assert api.get(of(order)).status == 401 and api.post(ORDERS, {}).status == 401
    answers = [other_user.get(of(order)), other_user.delete(of(order)), other_user.put(of(order), {"version": 1})]
    assert [answer.status for answer in answers] == [404, 404, 400]
    assert other_user.put(of(order), {"status": "cancelled"}).status == 404


def test_an_etag_decides_which_change_counts(user, tea, shelve, order):
    (cup,) = shelve({"name": "Cup"})
    etag = user.get(of(order)).headers["ETag"]
    cancelled = user.delete(of(order), if_match=etag)
    assert cancelled.status == 200, cancelled.body
    assert cancelled.json()["status"] == "cancelled" and stock(user, tea, cancelled) == 10
    late = user.put(of(order), {"items": [{"product_id": cup, "quantity": 1}]}, if_match=etag)
    assert (late.status, late.json()["code"]) == (412, "stale")
    assert user.put(of(order), {"status": "shipped", "version": 1}).status == 412
    assert user.delete(of(order), if_match='"no etag"').status == 412
    again = user.delete(of(order))
    assert (again.status, again.json()["code"]) == (409, "invalid_transition")


def test_staff_sees_all_orders(staff, order):
    assert staff.get(of(order)).json()["id"] == order["id"]
    wrong = staff.put(of(order), {"status": "delivered"})
    assert (wrong.status, wrong.json()["code"]) == (409, "invalid_transition")


def test_crowds_on_one_order_leave_one_serial_order(user, tea, order):
    """200 changes and cancels at once. Each that counted made a version of its own, none came after the cancel, and
    whoever lost was told why. One insists on its cancel: else the lock may be others' whenever one is tried."""
    homes = [address(user, line) for line in ("1 Byron Row", "2 Byron Row")]

    def insisting() -> Answer:
        while (answer := user.delete(of(order))).json().get("code") == "locked":
            pass
        return answer

    def one(number: int) -> Answer:
        if number % 10 == 5:
            return insisting() if number == 95 else user.delete(of(order))
        return user.put(of(order), {"address_id": homes[number % 2]})

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(200)))
    counted = [answer.json() for answer in answers if answer.status == 200]
    lost = {(answer.status, answer.json()["code"]) for answer in answers if answer.status != 200}
    assert lost <= {(409, "locked"), (409, "invalid_transition")}
    versions = sorted(document["version"] for document in counted)
    assert len(set(versions)) == len(versions)
    (cancelled,) = [document for document in counted if document["status"] == "cancelled"]
    assert cancelled["version"] == versions[-1]
    final = user.get(of(order)).json()
    assert (final["status"], final["address"]) == ("cancelled", cancelled["address"])
    assert stock(user, tea, place(user, {tea: 1}, payment_method=LATER)) == 9


def test_a_state_store_that_is_killed_while_locks_are_held_costs_no_unit(stack, user, shelve):
    """Its memory is gone, and with it the locks: rows and versions still let each order be cancelled once."""
    (cup,) = shelve({"name": "Cup", "stock": 30})
    orders = [place(user, {cup: 1}, payment_method=LATER).json() for _ in range(30)]

    def cancel(order: dict) -> list[int]:
        statuses = []
        while not statuses or statuses[-1] == 503:
            statuses.append(user.delete(of(order)).status)
        return statuses

    with ThreadPoolExecutor(12) as pool:
        cancelling = [pool.submit(cancel, order) for order in [*orders, *orders]]
        for _ in range(3):
            kill(stack, "valkey-state")
            time.sleep(0.5)
        answers = [one.result() for one in cancelling]
    ends = Counter(statuses[-1] for statuses in answers)
    assert ends == {200: 30, 409: 30}
    healing.wait_until(lambda: healing.is_well(stack), "the stack")
    assert stock(user, cup, place(user, {cup: 1}, payment_method=LATER)) == 29


def address(user: Api, line: str) -> str:
    fields = {"name": "Ada", "line1": line, "city": "London", "country": "GB"}
    return user.post("/api/v1/addresses", fields).json()["id"]


def test_a_frozen_state_store_refuses_changes_within_a_second_and_still_takes_orders(stack, user, tea, order):
    reader = Api(stack.socket("read-1"), headers=user.headers)
    with frozen(stack.pid("valkey-state")):
        refused, seconds = timed(lambda: user.delete(of(order)))
        assert (refused.status, refused.json()["code"]) == (503, "unavailable")
        assert int(refused.headers["Retry-After"]) >= 1
        put, waited = timed(lambda: user.put(of(order), {"status": "cancelled"}))
        placed = place(user, {tea: 1}, payment_method=LATER)
        read, _ = timed_get(reader, of(order))
    assert put.status == 503 and placed.status == 201, placed.body
    assert (read.status, read.json()["status"], read.json()["version"]) == (200, "pending", order["version"])
    assert max(seconds, waited) < 1


def timed(call) -> tuple[Answer, float]:
    began = time.monotonic()
    return call(), time.monotonic() - began
