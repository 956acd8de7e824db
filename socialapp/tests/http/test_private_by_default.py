"""An answer is for its reader alone, unless its view declares that it is for everybody."""

import secrets

import pytest
from django.urls import URLPattern
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.views import APIView

from orders.tests.conftest import shelve  # noqa: F401 a fixture
from posts.api.read import ReadPosts
from posts.api.write import WritePosts
from socialapp.cqrs.http.reads import NotPublic, PublicRead
from socialapp.tests.architecture.test_registries import routes
from socialapp.tests.client import Api
from socialapp.tests.http.addresses import SESSION_PAGES, example, name

# Django's own kind of view has no permissions. What the gateway does not pass on is for operators.
OF_OPERATORS = {"health", "health/ready", "metrics"}


def readable() -> list[tuple[str, URLPattern]]:
    found = [(route, pattern) for route, pattern in routes() if not f"/{route}".startswith(SESSION_PAGES)]
    return [(route, pattern) for route, pattern in found if hasattr(view_of(pattern), "get")]


def view_of(pattern: URLPattern) -> type | None:
    return getattr(pattern.callback, "cls", None)


def is_declared_public(view: type) -> bool:
    return issubclass(view, PublicRead) or AllowAny in view.permission_classes


PRIVATE = [(route, pattern) for route, pattern in readable() if not is_declared_public(view_of(pattern))]
PUBLIC = [(route, pattern) for route, pattern in readable() if is_declared_public(view_of(pattern))]


@pytest.fixture(scope="module")
def owned(stack_url, member, shelve) -> dict[str, str]:  # noqa: F811
    """Things of `member`, by the parameters of routes."""
    address = {"name": "Ada", "line1": "1 Byron Row", "city": "London", "country": "GB"}
    lines = {"items": [{"product_id": shelve({"stock": 9})[0], "quantity": 1}]}
    return {
        "address_id": member.post("/api/v1/addresses", address).json()["id"],
        "order_id": member.post("/api/v1/orders", lines, idempotency_key=secrets.token_hex(8)).json()["id"],
        "command_id": member.post("/api/v1/posts", {"text": "mine"}).json()["command"]["id"],
    }


def address_of(route: str, owned: dict[str, str]) -> str:
    for parameter, value in owned.items():
        route = route.replace(f"<uuid:{parameter}>", value)
    return example(route)


def test_a_view_without_a_class_is_for_operators():
    plain = {route for route, pattern in routes() if view_of(pattern) is None}
    assert {route for route in plain if not f"/{route}".startswith(SESSION_PAGES)} == OF_OPERATORS


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
@pytest.mark.parametrize("route", [route for route, _ in PRIVATE], ids=name)
def test_a_private_address_answers_nobody_else(stack_url, member, owned, route, accept):
    address = address_of(route, owned)
    anonymous, own = (Api(stack_url, headers=headers).get(address, Accept=accept) for headers in ({}, member.headers))
    assert anonymous.status == 401 and "no-store" in anonymous.headers["Cache-Control"]
    assert own.status == 200, own.body
    assert "private" in own.headers["Cache-Control"] and "public" not in own.headers["Cache-Control"]
    assert not own.headers["CDN-Cache-Control"] and "hit" not in (own.headers["Cache-Status"] or "")
    # And again, now that somebody was answered.
    assert Api(stack_url).get(address, Accept=accept).status == 401


@pytest.mark.parametrize("route", [route for route, _ in PUBLIC], ids=name)
def test_a_public_address_answers_everybody(stack_url, route):
    assert Api(stack_url).get(example(route), Accept="*/*").status in (200, 404)


def test_most_addresses_are_found():
    assert len(PRIVATE) >= 8 and len(PUBLIC) >= 12


@pytest.mark.parametrize(
    "members",
    [
        {"permission_classes": [IsAuthenticated]},
        {"permission_classes": [AllowAny, IsAuthenticated]},
        {"authentication_classes": []},
        {"check_permissions": lambda self, request: None},
        {"get_permissions": lambda self: [IsAuthenticated()]},
    ],
    ids=lambda members: ", ".join(members),
)
@pytest.mark.parametrize("bases", [(PublicRead,), (ReadPosts,), (ReadPosts, WritePosts)])
def test_a_public_read_that_asks_who_reads_is_refused(bases, members):
    with pytest.raises(NotPublic, match="answers everybody"):
        type("ReadBookmarks", bases, members)


def test_a_mixin_that_asks_who_reads_is_refused():
    class Own:
        permission_classes = [IsAuthenticated]

    with pytest.raises(NotPublic, match="IsAuthenticated"):
        type("ReadBookmarks", (ReadPosts, Own), {})


def test_a_view_that_says_nothing_is_private():
    assert APIView.permission_classes == [IsAuthenticated]
