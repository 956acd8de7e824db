"""An Idempotency-Key stands for one request of its user, whichever endpoints it is shown to."""

import secrets
from dataclasses import dataclass
from itertools import permutations
from uuid import UUID

import pytest
from django.http import HttpResponse
from rest_framework.test import APIClient

from orders.commands import AddAddress, AddProduct, PlaceOrder
from posts.commands import CreatePost
from socialapp.accounts.models import User
from socialapp.cqrs import claims, inbox, keys, outcomes, valkey
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.execute import execute, later
from socialapp.cqrs.http.front import Routes
from socialapp.cqrs.http.writes import CommandView
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.problems import IdempotencyKeyReused
from socialapp.cqrs.submit import submit
from socialapp.tests.conftest import drain_all  # noqa: F401 a fixture

ADDRESS = {"name": "A", "line1": "1 Road", "city": "B", "postcode": "12345", "country": "DE"}
PRODUCT = {"name": "A thing", "price": "1.00", "currency": "EUR", "stock": 100_000}
NO_SUCH = "01a00000-0000-7000-8000-000000000000"
# (method, path, body). What is not there, or cancelled already, is refused: that answer is repeated, too.
WRITES = {
    "post": ("POST", "/api/v1/posts", {"text": "a"}),
    "edit a post": ("PATCH", "/api/v1/posts/{post}", {"text": "b"}),
    "delete a post": ("DELETE", f"/api/v1/posts/{NO_SUCH}", None),
    "like": ("PUT", "/api/v1/posts/{post}/like", None),
    "unlike": ("DELETE", "/api/v1/posts/{post}/like", None),
    "comment": ("POST", "/api/v1/posts/{post}/comments", {"text": "c"}),
    "delete a comment": ("DELETE", f"/api/v1/comments/{NO_SUCH}", None),
    "edit a profile": ("PATCH", "/api/v1/me", {"name": "D"}),
    "order": ("POST", "/api/v1/orders", {"items": [{"product_id": "{product}", "quantity": 1}]}),
    "change an order": ("PUT", "/api/v1/orders/{order}", {"address_id": "{address}"}),
    "cancel an order": ("DELETE", "/api/v1/orders/{cancelled}", None),
    "add an address": ("POST", "/api/v1/addresses", ADDRESS),
    "edit an address": ("PATCH", "/api/v1/addresses/{address}", {"city": "E"}),
    "delete an address": ("DELETE", f"/api/v1/addresses/{NO_SUCH}", None),
}
# Every way in, with and without a resource that is there.
SOME = ("post", "like", "comment", "edit a profile", "order", "change an order", "add an address")
# Nobody is signed in: the first one's keys belong to the name that is asked for, the second takes none.
APART = {"/api/v1/auth/register", "/api/v1/auth/email/verify"}


@dataclass
class Member:
    """A user with something to write to."""

    client: APIClient
    names: dict[str, str]

    def write(self, name: str, key: str) -> HttpResponse:
        method, path, body = WRITES[name]
        filled = {field: self._filled(value) for field, value in body.items()} if body else None
        self.client.cookies.clear()
        send = getattr(self.client, method.lower())
        return send(path.format(**self.names), filled, format="json", HTTP_IDEMPOTENCY_KEY=key)

    def _filled(self, value: object) -> object:
        if isinstance(value, list):
            return [{field: self._filled(inner) for field, inner in one.items()} for one in value]
        return value.format(**self.names) if isinstance(value, str) else value


@pytest.fixture
def member(author, drain_all) -> Member:  # noqa: F811
    product = execute(AddProduct(sku=f"SKU-{secrets.token_hex(4)}", **PRODUCT), actor_id=None).resource_id
    post = submit(CreatePost("host"), actor_id=author).resource_id
    drain_all()
    address = execute(AddAddress(**ADDRESS), actor_id=author).resource_id
    place = PlaceOrder((f"{product} 1",), "sandbox", "approve", None)
    order, cancelled = (execute(place, actor_id=author).resource_id for _ in range(2))
    names = {"product": product, "post": post, "address": address, "order": order, "cancelled": cancelled}
    client = APIClient(HTTP_HOST="localhost")
    client.force_authenticate(User.objects.get(pk=author))
    return Member(client, {name: str(value) for name, value in names.items()})


def test_every_write_that_takes_a_key_is_among_them():
    routes = Routes(CommandView)
    declared = {(method, found[0]) for method, path, _ in WRITES.values() if (found := routes.find(_sample(path)))}
    assert len(declared) == len(WRITES)
    for pattern, view in routes._routes:
        if f"/{pattern._route}" not in APART:
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                assert not hasattr(view, method.lower()) or (method, view) in declared, f"{method} {pattern}"


def _sample(path: str) -> str:
    return path.format(post=NO_SUCH, order=NO_SUCH, cancelled=NO_SUCH, address=NO_SUCH)


def forget_claims() -> None:
    log = valkey.command_log()
    found = list(log.scan_iter(match=keys.idempotency("*", "*").replace("{", "?").replace("}", "?"), count=1000))
    assert found
    log.delete(*found)


def told(answer: HttpResponse) -> tuple[int, dict | None]:
    """What an answer says, without what a change of the same thing by other writes may alter."""
    document = answer.json() if answer.content else None
    if answer.status_code in (200, 201):
        return answer.status_code, {"id": document["id"]}
    return answer.status_code, document


def command_of(answer: HttpResponse) -> tuple[UUID, str, str]:
    document = answer.json()
    return UUID(document["command"]["id"]), document["command"]["type"], document["resource"]["id"]


@pytest.mark.parametrize(
    ("meanwhile", "writes"), [("applied", WRITES), ("pending", SOME), ("applied, and its claim lost", SOME)]
)
def test_a_key_means_one_request_over_all_pairs_of_endpoints(member, drain_all, meanwhile, writes):  # noqa: F811
    pairs = list(permutations(writes, 2))
    # given each write, with a key of its own for each other write
    first = {pair: member.write(pair[0], f"{pair}") for pair in pairs}
    assert {answer.status_code for answer in first.values()} <= {200, 201, 202, 404, 409}
    later.submit(lambda: None).result(10)
    if meanwhile != "pending":
        drain_all()
    if "lost" in meanwhile:
        forget_claims()
    # when the other write shows the same key
    second = {pair: member.write(pair[1], f"{pair}") for pair in pairs}
    drain_all()
    # then it is refused, if not at once then as its outcome
    for pair, answer in second.items():
        if answer.status_code == 202:
            assert "lost" in meanwhile, pair
            command_id, _, _ = command_of(answer)
            outcome = outcomes.lookup([command_id])[command_id]
            assert (outcome.status, outcome.problem["code"]) == ("rejected", "idempotency_key_reused"), pair
        else:
            assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused"), pair
    # and the first one keeps its answer and its own outcome
    for pair, answer in first.items():
        again = member.write(pair[0], f"{pair}")
        if answer.status_code == 202:
            command_id, kind, resource_id = command_of(answer)
            outcome = outcomes.lookup([command_id])[command_id]
            assert (outcome.type, outcome.resource_id) == (kind, resource_id), pair
            assert not outcome.problem or outcome.problem["code"] != "idempotency_key_reused", pair
        assert told(again) == told(answer), pair
        assert again.status_code in (404, 409) or again["Idempotent-Replayed"] == "true", pair


# ---- what no endpoint can show ----


def envelope(actor, key: str, text: str) -> Envelope:
    return Envelope(new_id(), CreatePost(text), actor, new_id(), idempotency_key=key, fingerprint=text)


def test_a_key_that_waits_in_the_inbox_is_not_free_for_an_order(author):
    """The log was down when the post was accepted."""
    inbox.put(envelope(author, "k", "post"), after_stamp=0)
    with pytest.raises(IdempotencyKeyReused):
        execute(AddAddress(**ADDRESS), actor_id=author, idempotency_key="k", fingerprint="address")


def test_an_order_that_was_refused_its_key_does_not_keep_it(author, drain_all):  # noqa: F811
    """Its claim in the log is wrong: the primary's row decides, and the first request gets its answer."""
    first = envelope(author, "k", "post")
    inbox.put(first, after_stamp=0)
    with pytest.raises(IdempotencyKeyReused):
        execute(AddAddress(**ADDRESS), actor_id=author, idempotency_key="k", fingerprint="address")
    repeated = submit(first.command, actor_id=author, idempotency_key="k", fingerprint="post")
    assert (repeated.command_id, repeated.replayed) == (first.id, True)
    drain_all()
    repeated = submit(first.command, actor_id=author, idempotency_key="k", fingerprint="post")
    assert (repeated.command_id, repeated.replayed) == (first.id, True)


def test_an_order_needs_no_log(author, monkeypatch):
    def down(*_, **__):
        raise valkey.RedisError("down")

    monkeypatch.setattr(claims, "claim", down)
    monkeypatch.setattr(claims, "require_unclaimed", down)
    executed = execute(AddAddress(**ADDRESS), actor_id=author, idempotency_key="k", fingerprint="address")
    again = execute(AddAddress(**ADDRESS), actor_id=author, idempotency_key="k", fingerprint="address")
    assert (again.command_id, again.replayed) == (executed.command_id, True)
