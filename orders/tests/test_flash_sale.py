"""The flash sale drill against the whole stack: the books balance, whatever is down."""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack

import psycopg
import pytest

from deploy.chaos import healing
from deploy.chaos.faults import down, kill
from orders.flash_sale import Books
from orders.management.commands.flash_sale import table
from socialapp.ops.tests.test_load import locust, own_reads
from socialapp.tests.fixtures import CHECKOUT

VALKEYS = ("valkey-cache", "valkey-state", "valkey-log")


@pytest.fixture
def drill(stack):
    """drill(buyers, stock) starts `manage.py flash_sale`; returns the process."""

    def start(buyers: int, stock: int) -> subprocess.Popen:
        arguments = ["--buyers", str(buyers), "--stock", str(stock), "--json"]
        environment = os.environ | stack.environment("worker")
        command = [sys.executable, "manage.py", "flash_sale", *arguments]
        return subprocess.Popen(
            command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    yield start
    # The next test finds everything as it is used to, and its own payments do not wait behind hundreds.
    healing.wait_until(lambda: healing.is_well(stack), "the stack")
    healing.wait_until(lambda: not waiting(stack), "the payments of the sale")


def report_of(process: subprocess.Popen) -> dict:
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, output + errors
    return json.loads(output)


def asked(stack, question: str) -> int:
    url = stack.environment("worker")["DATABASE_URL"]
    with psycopg.connect(url, connect_timeout=5, autocommit=True) as primary:
        return primary.execute(question).fetchone()[0]


def waiting(stack) -> int:
    """Orders that are about to be paid."""
    return asked(
        stack, "SELECT count(*) FROM orders_order WHERE status = 'pending' AND payment IN ('due', 'under_way')"
    )


def wait_for_orders(stack, number: int) -> None:
    """Until so many orders of the newest product are there."""
    counted = """
        SELECT count(*) FROM orders_orderitem
        WHERE product_id = (SELECT id FROM orders_product WHERE is_sold AND sku LIKE 'FLASH-%' ORDER BY id DESC LIMIT 1)
    """
    deadline = time.monotonic() + 60
    while asked(stack, counted) < number:
        assert time.monotonic() < deadline, "the sale has not begun"
        time.sleep(0.02)


def test_a_thousand_buyers_get_exactly_what_there_is(drill):
    report = report_of(drill(1000, 100))
    assert report["outcomes"] == {"out of stock": 900, "sold": 100}
    assert report["troubles"] == {}
    assert report["books"] == {"start": 100, "left": 0, "sold": 100, "lost": 0, "balance": True}


def test_the_same_without_any_valkey(stack, drill):
    with ExitStack() as outage:
        for name in VALKEYS:
            outage.enter_context(down(stack, name))
        report = report_of(drill(1000, 100))
    assert report["outcomes"] == {"out of stock": 900, "sold": 100}
    assert report["troubles"] == {}
    assert report["books"]["balance"]


def test_a_write_server_that_is_killed_in_the_middle_costs_no_order(stack, drill):
    """Orders that were answered by nobody are asked for again, with their keys: none is placed twice."""
    process = drill(300, 100)
    wait_for_orders(stack, 10)
    kill(stack, "write-1")
    wait_for_orders(stack, 50)
    kill(stack, "write-2")
    report = report_of(process)
    assert report["outcomes"] == {"sold": 100, "out of stock": 200}
    assert report["books"] == {"start": 100, "left": 0, "sold": 100, "lost": 0, "balance": True}


def test_buyers_under_load_see_what_they_bought(stack_url, drill, shelve):
    """drill: its payments are over before the next test."""
    shelve({"name": "Wanted", "stock": 50})
    done = locust(stack_url, user_class="Buyer")
    assert done.returncode == 0, done.stdout + done.stderr
    assert own_reads(done) == 50


def test_books_that_do_not_balance_are_told():
    books = Books(start=10, left=1, sold=10, lost=[])
    assert not books.balance and not Books(10, 0, 10, ["an-order"]).balance and Books(10, 4, 6, []).balance
    shown = {"outcomes": {"sold": 10}, "troubles": {"no answer": 2}, "milliseconds": {"p50": 7}}
    text = table(shown | {"books": {"start": 10, "left": 1, "sold": 10, "lost": 0, "balance": False}})
    assert "DO NOT BALANCE" in text and "repeated after no answer" in text
