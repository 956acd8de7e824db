"""Addresses: one default, one's own only, through the gateway and inside this process."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import IntegrityError, connections, transaction

from orders import queries
from orders.commands import AddAddress, DeleteAddress, EditAddress
from orders.handlers.addresses import MOST
from orders.models import Address
from socialapp.cqrs import events
from socialapp.cqrs.execute import execute
from socialapp.cqrs.problems import NotFound, Problem

ADDRESSES = "/api/v1/addresses"
HOME = {"name": "Ada", "line1": "1 Main St", "city": "London", "country": "GB"}


def add(api, **changes) -> dict:
    answer = api.post(ADDRESSES, HOME | changes)
    assert answer.status == 201, answer.body
    return answer.json()


def listed(api, **headers) -> list[tuple[str, bool]]:
    found = api.get(ADDRESSES, **headers).json()
    assert found["next"] is None
    return [(one["id"], one["is_default"]) for one in found["results"]]


def test_an_address_as_the_contract_says(user):
    answer = user.post(ADDRESSES, HOME | {"postcode": "E1 6AN", "line2": " Flat 2 "})
    address = answer.json()
    assert answer.status == 201 and answer.headers["Location"].endswith(f"{ADDRESSES}/{address['id']}")
    given = HOME | {"line2": "Flat 2", "postcode": "E1 6AN", "region": "", "is_default": True}
    assert address == given | {"id": address["id"]}
    shown = user.get(answer.headers["Location"], consistency_token=answer.token)
    assert shown.json() == address
    assert (shown.headers["Cache-Control"], shown.headers["Consistency"]) == ("private, no-store", "strong")


def test_the_default_moves(user):
    first, second, third = add(user), add(user), add(user, is_default=True)
    answer = user.patch(f"{ADDRESSES}/{second['id']}", {"is_default": True})
    assert answer.json()["is_default"]
    # the default first, then the newest
    expected = [(second["id"], True), (third["id"], False), (first["id"], False)]
    assert listed(user, consistency_token=answer.token) == expected
    # deleting it makes the newest of the others the default
    answer = user.delete(f"{ADDRESSES}/{second['id']}")
    assert (answer.status, answer.body) == (204, b"")
    assert listed(user, consistency_token=answer.token) == [(third["id"], True), (first["id"], False)]


def test_a_read_with_the_token_is_never_older(user):
    address = add(user)
    for number in range(10):
        answer = user.patch(f"{ADDRESSES}/{address['id']}", {"line1": f"{number} Main St"})
        shown = user.get(f"{ADDRESSES}/{address['id']}", consistency_token=answer.token).json()
        assert shown["line1"] == f"{number} Main St"


def test_others_addresses_do_not_exist(user, other_user, api):
    path = f"{ADDRESSES}/{add(user)['id']}"
    for answer in (other_user.get(path), other_user.patch(path, {"city": "Rome"}), other_user.delete(path)):
        assert (answer.status, answer.json()["code"]) == (404, "not_found")
    assert listed(other_user) == []
    assert api.get(ADDRESSES).status == api.post(ADDRESSES, HOME).status == api.delete(path).status == 401
    assert user.get(path).json()["city"] == "London"


def test_a_repeat_adds_nothing(user):
    first = user.post(ADDRESSES, HOME, idempotency_key="one")
    again = user.post(ADDRESSES, HOME, idempotency_key="one")
    assert (again.status, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(listed(user, consistency_token=again.token)) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("country", "XX"), ("country", "gb"), ("country", ""), ("name", ""), ("city", None), ("line1", "x" * 201),
        ("line1", "two\nlines"), ("line2", "\u0000"), ("postcode", 12345), ("is_default", "yes"), ("planet", "Mars"),
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(user, field, value):
    answer = user.post(ADDRESSES, HOME | {field: value})
    assert (answer.status, answer.json()["errors"][0]["field"]) == (400, field)


def test_the_default_cannot_be_left_without_another(user):
    answer = user.patch(f"{ADDRESSES}/{add(user)['id']}", {"is_default": False})
    assert (answer.status, answer.json()["code"]) == (422, "invalid")


def run(user_id, command, address_id=None):
    return execute(command, actor_id=user_id, resource_id=address_id).resource_id


def defaults(user_id) -> list:
    return list(Address.objects.filter(user_id=user_id, is_default=True).values_list("pk", flat=True))


def test_there_are_only_so_many(author):
    for _ in range(MOST):
        run(author, AddAddress(**HOME))
    with pytest.raises(Problem) as refused:
        run(author, AddAddress(**HOME))
    assert (refused.value.status, refused.value.code) == (409, "too_many_addresses")


def test_there_is_one_default_whatever_happens_side_by_side(author):
    ids = [run(author, AddAddress(**HOME)) for _ in range(8)]

    def change(number: int) -> None:
        command = DeleteAddress() if number % 4 == 3 else EditAddress(is_default=True)
        try:
            run(author, command, ids[number % 8])
        except NotFound:
            pass
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change, range(32)))
    assert Address.objects.filter(user_id=author).count() == 6 and len(defaults(author)) == 1


def test_the_database_itself_allows_no_second_default(author):
    run(author, AddAddress(**HOME))
    other = run(author, AddAddress(**HOME))
    with pytest.raises(IntegrityError, match="one_default_address_per_user"), transaction.atomic():
        Address.objects.filter(pk=other).update(is_default=True)


def test_events_hold_no_address(author):
    address = run(author, AddAddress(**HOME | {"line2": "a secret garden"}))
    run(author, EditAddress(city="Paris"), address)
    run(author, DeleteAddress(), address)
    history = [recorded.event for recorded in events.read("aggregate_id = %s", [address])]
    assert [type(event).__name__ for event in history] == ["AddressSaved", "AddressSaved", "AddressDeleted"]
    assert {(event.address_id, event.user_id) for event in history} == {(str(address), str(author))}


def test_a_plain_row_for_whoever_copies_it(author):
    address = run(author, AddAddress(**HOME))
    row = queries.get_address(author, address, "default")
    assert row == HOME | {"id": address, "line2": "", "region": "", "postcode": "", "is_default": True}
    assert queries.get_address(address, author, "default") is None
