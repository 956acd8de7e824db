"""`make bench`, part of queues: orders at a steady rate, and what waits for the workers meanwhile.

Three figures count: how long the longest queue of the broker gets, how long an order waits for its payment attempt
(the row that is committed before the gateway is called), and how long until the gateway has answered.
"""

import http.client
import json
import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from threading import Event, Thread

import redis

from deploy.bench.bars import Bar
from deploy.bench.crowd import Crowd, in_write_role, primary
from deploy.embedded.programs import WORKERS
from deploy.embedded.stack import Stack

CUSTOMERS, PRODUCTS, STOCK = 100, 50, 1_000_000
# Connections that place orders side by side; one order takes some 20 ms.
PLACERS = 8
# Seconds: between two looks at the queues, of patience with one answer, and with the last payments.
LOOK, TIMEOUT, LAST_PAYMENTS = 0.5, 30, 30
QUEUES = sorted(set(WORKERS.values()))

# Milliseconds from the commit of an order; the last column is null while the gateway has not answered.
WAITED = """
    SELECT 1000 * extract(epoch FROM attempt.created_at - placed.created_at)::float,
           1000 * extract(epoch FROM attempt.updated_at - placed.created_at)::float
               * nullif((attempt.state NOT IN ('open', 'unknown'))::int, 0)
    FROM orders_order AS placed LEFT JOIN orders_paymentattempt AS attempt ON attempt.order_id = placed.id
    WHERE placed.created_at >= %s
"""


@dataclass(frozen=True)
class Steady:
    """rate: orders answered 201 per second. longest: messages, by queue. The rest is in milliseconds."""

    rate: float
    orders: int
    refused: int
    longest: dict[str, int]
    attempt_p50: float
    attempt_p99: float
    answered_p50: float
    answered_p99: float

    def record(self) -> str:
        return json.dumps(asdict(self), indent=2)


def measure(stack: Stack, *, rate: float, seconds: int) -> Steady:
    """Place `rate` orders per second through the gateway for so long, and wait until they are paid."""
    crowd = Crowd.of(stack)
    tokens = crowd.tokens(random.sample(list(crowd.usernames), CUSTOMERS))
    lines = (f"STEADY-{number} {STOCK}" for number in range(PRODUCTS))
    products = in_write_role(stack, ["deploy.bench.submissions", "products"], lines).split()
    with primary(stack) as connection:
        (began,) = connection.execute("SELECT clock_timestamp()").fetchone()
        with watched_queues(stack) as longest:
            statuses = place(stack, tokens, products, rate, seconds)
            rows = wait_for_answers(connection, began)
    attempts, answers = zip(*rows, strict=True)
    placed = statuses.count(201)
    return Steady(
        placed / seconds, placed, len(statuses) - placed, longest, *middle_and_tail(attempts), *middle_and_tail(answers)
    )


@contextmanager
def watched_queues(stack: Stack) -> Iterator[dict[str, int]]:
    """The most messages that each queue of the broker has held while the block ran."""
    broker = redis.Redis.from_url(stack.environment("worker")["STATE_URL"], socket_timeout=5)
    longest, ended = dict.fromkeys(QUEUES, 0), Event()

    def look() -> None:
        while not ended.wait(LOOK):
            for queue in QUEUES:
                longest[queue] = max(longest[queue], broker.llen(queue))

    watcher = Thread(target=look)
    watcher.start()
    try:
        yield longest
    finally:
        ended.set()
        watcher.join()


def place(stack: Stack, tokens: list[str], products: list[str], rate: float, seconds: int) -> list[int]:
    """The statuses of all answers. Orders are sent when they are due, however long earlier ones take."""
    started, statuses = time.monotonic(), []
    due = [number / rate for number in range(int(rate * seconds))]

    def send(mine: list[float]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=TIMEOUT)
        for moment in mine:
            time.sleep(max(0.0, started + moment - time.monotonic()))
            statuses.append(_order(connection, random.choice(tokens), random.choice(products)))
        connection.close()

    threads = [Thread(target=send, args=[due[start::PLACERS]]) for start in range(PLACERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def _order(connection: http.client.HTTPConnection, token: str, product: str) -> int:
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Idempotency-Key": secrets.token_hex(12),
    }
    body = json.dumps({"items": [{"product_id": product, "quantity": 1}]})
    connection.request("POST", "/api/v1/orders", body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def wait_for_answers(connection, began) -> list[tuple[float | None, float | None]]:
    """Each order's waiting times; also of orders that wait still after LAST_PAYMENTS."""
    deadline = time.monotonic() + LAST_PAYMENTS
    rows = connection.execute(WAITED, [began]).fetchall()
    while time.monotonic() < deadline and any(answered is None for _, answered in rows):
        time.sleep(LOOK)
        rows = connection.execute(WAITED, [began]).fetchall()
    return rows


def middle_and_tail(waited: tuple[float | None, ...]) -> tuple[float, float]:
    """(median, 99th percentile); what has not happened counts as infinitely late."""
    known = [float("inf") if one is None else one for one in waited]
    return median(known), quantiles(known, n=100, method="inclusive")[98]


def bars(found: Steady) -> list[Bar]:
    queues = [Bar(f"messages in the queue {name}, at most", 50, most, True) for name, most in found.longest.items()]
    return [
        Bar("orders refused", 0, found.refused, True),
        *queues,
        Bar("order to payment attempt, p99, ms", 1000, found.attempt_p99, True),
    ]
