"""Lists of orders: cached per reader, dropped by what touches them and by nothing else."""

from uuid import UUID

import orjson
import pytest

from orders import fragments
from orders.commands import CancelOrder, ChangeOrder
from orders.events import all_orders_key, orders_key
from orders.models import Order, Status
from orders.queries import list_orders
from orders.tests.moves import become
from socialapp.accounts.commands import RegisterUser
from socialapp.cqrs import audit, valkey
from socialapp.cqrs.audit import CACHE, Subject, within
from socialapp.cqrs.execute import execute

FIRST = "page:1:limit:20"


@pytest.fixture
def other(author) -> UUID:
    return execute(RegisterUser(f"other_{author.hex[-12:]}", "!"), actor_id=None).resource_id


@pytest.fixture
def tea(add_product) -> UUID:
    return add_product(name="Tea", price="3.35", stock=100)


def listed(user: UUID, page: int = 1, limit: int = 20) -> tuple[int, list[dict]]:
    found = fragments.orders_of_user.get(user, page=page, limit=limit)
    return found.total, orjson.loads(found.results)


def listed_to_staff(status: str = "") -> list[str]:
    return [order["id"] for order in orjson.loads(fragments.all_orders.get(f"/{status}", page=1, limit=20).results)]


def is_cached(key: str) -> bool:
    return valkey.read_cache().hexists(key, FIRST)


def ship(order_id: UUID) -> None:
    execute(ChangeOrder(status=Status.SHIPPED.value, as_staff=True), actor_id=None, resource_id=order_id)


def cancel_newest(user: UUID) -> None:
    newest = UUID(listed(user)[1][0]["id"])
    execute(CancelOrder("changed my mind"), actor_id=user, resource_id=newest)


def test_pages_are_full_documents_newest_first(tea, place, author):
    ids = [str(place({tea: number}).resource_id) for number in (1, 2, 3)]
    total, orders = listed(author, limit=2)
    assert (total, [order["id"] for order in orders]) == (3, ids[:0:-1])
    assert orders[0]["items"][0]["quantity"] == 3 and orders[0]["total"] == {"amount": "10.05", "currency": "EUR"}
    assert [order["id"] for order in listed(author, page=2, limit=2)[1]] == ids[:1]
    assert listed(author, page=9, limit=2) == (3, [])


def test_a_list_is_one_hash_with_a_field_per_page(tea, place, author):
    place({tea: 1})
    listed(author), listed(author, page=2, limit=5)
    key = orders_key(str(author))
    assert key == fragments.orders_of_user.key(author)
    assert set(valkey.read_cache().hkeys(key)) == {b"page:1:limit:20", b"page:2:limit:5"}
    assert 0 < valkey.read_cache().ttl(key) <= fragments.ORDERS_TTL


def test_no_list_of_a_customer_has_a_key_of_another_list(author, other):
    keys = {orders_key(str(author)), orders_key(str(other)), *map(all_orders_key, ["", *Status.values])}
    assert len(keys) == 2 + 1 + len(Status)


def test_what_touches_an_order_drops_the_lists_that_it_is_in_and_no_other(tea, place, author, other):
    place({tea: 1}, user=other)
    order = place({tea: 1}).resource_id
    mine, theirs = orders_key(str(author)), orders_key(str(other))
    every, delivered = all_orders_key(""), all_orders_key("delivered")
    steps = [
        (lambda: place({tea: 1}), {"pending"}),
        (lambda: become(order, Status.PAID), {"pending", "paid"}),
        (lambda: ship(order), {"paid", "shipped"}),
        (lambda: cancel_newest(author), {"pending", "cancelled"}),
    ]
    for step, statuses in steps:
        for user in (author, other):
            listed(user)
        for status in ("", *Status.values):
            listed_to_staff(status)
        step()
        assert not is_cached(mine) and not is_cached(every)
        assert is_cached(theirs) and is_cached(delivered)
        assert {status for status in Status.values if not is_cached(all_orders_key(status))} == statuses
    assert [order["status"] for order in listed(author)[1]] == ["cancelled", "shipped"]
    assert str(order) in listed_to_staff("shipped") and str(order) not in listed_to_staff("paid")


def test_the_auditor_knows_the_pages(tea, place, author):
    place({tea: 1})
    listed(author), listed_to_staff("pending")
    for key in (orders_key(str(author)), all_orders_key("pending")):
        assert audit.look(Subject(key, FIRST, (CACHE,))).outcomes == {CACHE: within(0)}
    stale = Order.objects.filter(user_id=author)
    stale.update(payment_type="tampered")
    look = audit.look(Subject(orders_key(str(author)), FIRST, (CACHE,)))
    assert look.again and not look.outcomes
    wrong = [(orders_key(str(author)), ""), (orders_key("nobody"), FIRST), (orders_key(str(author)), "page:x:limit:1")]
    for slot in wrong:
        assert audit.look(Subject(*slot, (CACHE,))).outcomes == {CACHE: audit.UNKNOWN}


@pytest.mark.parametrize(
    ("narrowed", "index"),
    [
        ({"user_id": UUID(int=7)}, "orders_of_a_user"),
        ({"status": "delivered"}, "orders_by_status"),
        ({}, "orders_order_pkey"),
    ],
)
def test_a_page_is_walked_to_along_an_index(planned, narrowed, index):
    plan = planned(lambda: list_orders(**narrowed, offset=40, limit=20, using="default"))
    assert f"using {index}" in plan and "Sort" not in plan, plan
