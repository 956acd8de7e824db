"""Fixtures of the shop's tests."""

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from uuid import UUID

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from orders.commands import AddProduct, PlaceOrder, SaveCategory
from orders.emails import LANES, NAME
from orders.models import PaymentAttempt, SandboxCharge
from orders.payments import asking
from orders.tests.mail_servers import Mailbox, mail_server
from socialapp.accounts.commands import RegisterUser
from socialapp.accounts.models import User
from socialapp.cqrs import consumers
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.execute import execute
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.models import ConsumerOffset, Event, ParkedEvent
from socialapp.mail import delivery
from socialapp.publishing.tests.subscribers import everything_is_below_the_horizon
from socialapp.tests.client import PASSWORD, Api, register
from socialapp.tests.conftest import author, clean_stores  # noqa: F401 fixtures
from socialapp.tests.fixtures import CHECKOUT
from socialapp.tests.valkeys import wait_until

ORDERS = "/api/v1/orders"
# Runs in the write role of the stack: adds products and prints their ids.
SHELVED = """
import json, sys
import django; django.setup()
from orders.commands import AddProduct
from socialapp.cqrs.execute import execute
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.models import ConsumerOffset, Event, ParkedEvent
from socialapp.mail import delivery
from socialapp.publishing.tests.subscribers import everything_is_below_the_horizon
for fields in json.loads(sys.argv[1]):
    print(execute(AddProduct(**fields), actor_id=None).resource_id)
"""
# The same, makes somebody staff.
HIRED = """
import sys
import django; django.setup()
from socialapp.accounts.commands import SetAccess
from socialapp.accounts.models import User
from socialapp.cqrs.execute import execute
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.models import ConsumerOffset, Event, ParkedEvent
from socialapp.mail import delivery
from socialapp.publishing.tests.subscribers import everything_is_below_the_horizon
user = User.objects.get(username=sys.argv[1])
execute(SetAccess(is_active=True, is_staff=True), actor_id=None, resource_id=user.pk)
"""


def run_in(stack, program: str, *arguments: str) -> str:
    """What a program prints that runs with the environment of the stack's write role."""
    environment = stack.environment("write") | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-c", program, *arguments]
    run = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="session")
def shelve(stack):
    """shelve({fields}, ...) adds products to the running stack; returns their ids."""

    def shelve(*products: dict) -> list[str]:
        default = {"name": "A thing", "price": "12.50", "currency": "EUR", "stock": 10}
        described = [{"sku": f"SKU-{secrets.token_hex(4)}"} | default | fields for fields in products]
        return run_in(stack, SHELVED, json.dumps(described)).split()

    return shelve


@pytest.fixture(scope="session")
def staff(stack) -> Api:
    """A client of the gateway, logged in as somebody of the staff."""
    api = register(f"http://127.0.0.1:{stack.port}")
    run_in(stack, HIRED, api.username)
    answer = api.post("/api/v1/auth/token", {"username": api.username, "password": PASSWORD})
    api.headers["Authorization"] = f"Bearer {answer.json()['access']}"
    return api


@pytest.fixture
def eventually():
    """eventually(condition) looks until it is true, for as long as anybody would."""

    def wait(condition, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.1)

    return wait


@pytest.fixture
def payments_rest(eventually):
    """payments_rest(api) waits until none of the client's orders, whose payment method is LATER, is about to move."""

    def wait(api: Api) -> None:
        eventually(lambda: {one["payment"]["status"] for one in api.get(ORDERS).json()["results"]} == {"unknown"})

    return wait


@pytest.fixture
def add_category(servers):
    """add_category(name, parent_id=None) makes one with a slug of its own; returns its id."""

    def add(name: str = "Things", parent_id: UUID | None = None, **changes) -> UUID:
        fields = {"name": name, "slug": f"c-{secrets.token_hex(4)}", "parent_id": parent_id and str(parent_id)}
        return execute(SaveCategory(**fields | changes), actor_id=None).resource_id

    return add


@pytest.fixture
def add_product(servers):
    """add_product(**fields) makes one with a SKU of its own; returns its id."""

    def add(**changes) -> UUID:
        fields = {"sku": f"SKU-{secrets.token_hex(4)}", "name": "A thing", "price": "12.50", "currency": "EUR"}
        return execute(AddProduct(**fields | changes), actor_id=None).resource_id

    return add


@pytest.fixture
def no_other_attempts(clean_stores):  # noqa: F811
    """What other tests have left half paid would be asked for here."""
    PaymentAttempt.objects.all().delete()
    SandboxCharge.objects.all().delete()
    asking.breaker.close()


@pytest.fixture
def place(author):  # noqa: F811
    """place({product_id: quantity}, **fields) orders as `author`, or as another `user`; what `execute` returns."""

    def place(units: dict, user: UUID = author, key: str | None = None, **fields):
        items = tuple(f"{product_id} {quantity}" for product_id, quantity in units.items())
        command = PlaceOrder(**{"items": items, "payment_type": "sandbox", "payment_token": "approve"} | fields)
        return execute(command, actor_id=user, idempotency_key=key, fingerprint=key)

    return place


@pytest.fixture
def planned(servers):
    """planned(call): how Postgres would carry out the first query of `call`, were its tables large."""

    def plan(call: Callable) -> str:
        connection = connections["default"]
        with CaptureQueriesContext(connection) as asked:
            call()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
            cursor.execute(f"EXPLAIN {asked.captured_queries[0]['sql']}")
            return "\n".join(line for (line,) in cursor.fetchall())

    return plan


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def server(mailbox, settings, monkeypatch):
    """The mail server that this process sends to."""
    with mail_server(mailbox) as running:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = running.hostname, running.port
        settings.EMAIL_TIMEOUT = 10
        settings.EMAILS_PER_SECOND = 1000
        monkeypatch.setattr(delivery, "_breaker", Breaker(open_for=(0, 0), probe=0))
        yield running


@pytest.fixture
def run(servers, server):
    """run() lets the consumer read on; what happened before this test is not its business."""
    ConsumerOffset.objects.filter(consumer=NAME).delete()
    ParkedEvent.objects.filter(consumer=NAME).delete()
    last = Event.objects.order_by("-xid", "-position").first()
    xid, position = (last.xid, last.position) if last else (0, 0)
    for lane in range(LANES):
        ConsumerOffset.objects.create(consumer=NAME, lane=lane, lanes=LANES, xid=xid, position=position)

    def run():
        wait_until(everything_is_below_the_horizon)
        for lane in range(LANES):
            while consumers.run(NAME, lane):
                pass

    return run


@pytest.fixture
def customer(clean_stores):  # noqa: F811
    """customer(email) is the id of a new user, whose address is verified unless told otherwise."""

    def customer(email: str, *, is_verified: bool = True):
        user_id = execute(RegisterUser(f"user_{new_id().hex[-12:]}", "!", email), actor_id=None).resource_id
        if is_verified:
            User.objects.filter(pk=user_id).update(email_verified_at=now())
        return user_id

    return customer
