"""`make bench`, part of orders: placing against a bare view with the same SQL, lists against plain DRF, in one run.

Rounds alternate between the subjects, so that a noisy machine disturbs all alike; figures are medians. Workers are
stopped meanwhile: what follows from an order, its payment and its emails, would follow whoever had placed it.
"""

import random
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median

from deploy.bench import drains
from deploy.bench.crowd import Crowd, in_write_role, primary
from deploy.bench.load import Measured, Request
from deploy.bench.servers import Server, gunicorn
from deploy.bench.writes import CONNECTIONS, Row, loaded
from deploy.embedded.programs import WORKERS
from deploy.embedded.stack import Stack

BARE = "bare, same SQL"
PLACED, HOT, LISTS = "orders placed", "of one product", "lists of orders"
PRODUCTS, STOCK = 500, 1_000_000
# What works for what follows from an order.
OTHERS = (*WORKERS, "beat")
# What works for an order behind the web server.
BACKENDS = (*drains.DATABASES, "valkey-state", "valkey-cache")
CUSTOMERS, EACH = 200, 20
LINES = 2

LISTED = """
    WITH placed AS (
        INSERT INTO orders_order
            (id, user_id, status, payment, total, currency, address, payment_type, payment_token, held_until,
             created_at, updated_at, version)
        SELECT uuidv7(), customer, 'paid', 'paid', 25, 'EUR', '{}', 'sandbox', 'approve', now(), now(), now(), 1
        FROM unnest(%s::uuid[]) AS customer, generate_series(1, %s) RETURNING id)
    INSERT INTO orders_orderitem (order_id, product_id, quantity, unit_price, sku, name)
    SELECT id, product, 1, 12.50, 'SKU', 'A thing' FROM placed, unnest(%s::uuid[]) AS product
"""


def compare(stack: Stack, options, say) -> list[Row]:
    crowd = Crowd.of(stack)
    lines = (f"BENCH-{number} {STOCK}" for number in range(PRODUCTS))
    products = in_write_role(stack, ["deploy.bench.submissions", "products"], lines).split()
    customers = random.sample(list(crowd.usernames), CUSTOMERS)
    with primary(stack) as connection:
        connection.execute(LISTED, [customers, EACH, products[:LINES]])
    tokens = crowd.tokens(customers)
    with ExitStack() as exits:
        exits.enter_context(drains.stopped(stack, OTHERS))
        peer_environment = drains.peer_environment(stack)
        pool = {"workers": options.workers, "pool": "write"}
        bare = exits.enter_context(gunicorn(stack, "deploy.bench.peers.wsgi", **pool, **peer_environment))
        ours = exits.enter_context(gunicorn(stack, "config.wsgi", **pool))
        reader = exits.enter_context(gunicorn(stack, "config.wsgi", workers=options.workers))
        rows = []
        for scenario, of in ((PLACED, products), (HOT, products[:1])):
            placing = {BARE: bare, "socialapp": ours}
            rows += measured(stack, scenario, placing, lambda of=of: orders(tokens, of), options)
            say(scenario, CONNECTIONS)
        reading = {"naive": bare, "socialapp": reader}
        lists = [Request("/api/v1/orders", token=token) for token in tokens]
        rows += measured(stack, LISTS, reading, lambda: lists, options)
        say(LISTS, CONNECTIONS)
    return rows


def orders(tokens: list[str], products: list[str]) -> list[Request]:
    """Of a few products each, with keys that were not used before; more than one measurement needs."""
    placed = []
    for _ in range(20_000):
        chosen = random.sample(products, min(LINES, len(products)))
        items = ",".join(f'{{"product_id":"{product}","quantity":1}}' for product in chosen)
        body = f'{{"items":[{items}]}}'
        placed.append(Request("/api/v1/orders", "POST", random.choice(tokens), body, secrets.token_hex(12)))
    return placed


def measured(
    stack: Stack, scenario: str, subjects: dict[str, Server], requests: Callable[[], list[Request]], options
) -> list[Row]:
    found: dict[str, list[tuple[Measured, float]]] = {name: [] for name in subjects}
    for _ in range(options.rounds):
        for name, server in subjects.items():
            found[name].append(loaded(stack, server, requests(), options.seconds, BACKENDS))
    return [_row(scenario, name, samples) for name, samples in found.items()]


def _row(scenario: str, name: str, samples: list[tuple[Measured, float]]) -> Row:
    def middle(field: str) -> float:
        return median(getattr(load, field) for load, _ in samples)

    return Row(scenario, name, middle("rate"), median(cpu for _, cpu in samples), middle("p50"), middle("p99"))
