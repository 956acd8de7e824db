"""Postgres' log tells what went wrong, but neither the statement's text nor a value in it."""

import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from socialapp.tests.topology.conftest import as_superuser

MARK = "argon2id-of-somebody"
FAILURES = {
    "a value that violates a constraint": (
        "INSERT INTO accounts_user (id, username, password) VALUES (gen_random_uuid(), 'somebody', '{}')"
    ),
    "a duplicate key": "UPDATE accounts_user SET username = '{}'",
    "a statement that is cancelled": "SET LOCAL statement_timeout = 700; SELECT pg_sleep(5), '{}'",
    "a syntax error": "SELECT '{}' FROM FROM",
    "a statement in a function": "DO $$ BEGIN PERFORM 1 / 0, '{}'; END $$",
    "a slow statement": "SELECT pg_sleep(0.6), '{}'",
}


@pytest.fixture
def log(stack) -> Path:
    return stack.layout.log / "postgres-primary.log"


@pytest.fixture
def superuser(stack) -> Iterator[psycopg.Connection]:
    """In the application's database."""
    with as_superuser(stack, "primary", "socialapp") as connection:
        yield connection


@pytest.mark.parametrize("failure", FAILURES)
def test_a_statement_that_fails_or_is_slow_leaves_no_value(owner, log, user, other_user, failure):
    before = log.stat().st_size
    with suppress(psycopg.Error), owner.transaction():
        owner.execute(FAILURES[failure].format(MARK))
    assert MARK.encode() not in written_since(log, before, owner)


def test_bound_parameters_are_not_logged_either(owner, log):
    before = log.stat().st_size
    with suppress(psycopg.Error):
        owner.execute("SELECT pg_sleep(0.6), 1 / %s, %s::text", [0, MARK])
    assert MARK.encode() not in written_since(log, before, owner)


def test_an_operator_who_has_more_logged_sees_no_parameters(owner, log, superuser):
    superuser.execute("SET log_error_verbosity = 'default'; SET log_min_duration_statement = 0")
    before = log.stat().st_size
    superuser.execute("SELECT 1, %s::text", [MARK])
    with suppress(psycopg.Error):
        superuser.execute("SELECT 1 / %s, %s::text", [0, MARK])
    written = written_since(log, before, owner)
    assert MARK.encode() not in written and b"$1::text" in written


def written_since(log: Path, size: int, owner: psycopg.Connection) -> bytes:
    """What was appended to the log until now: a line of our own is the last one."""
    table = f"end_{secrets.token_hex(6)}"
    with suppress(psycopg.Error):
        owner.execute(f"SELECT 1 FROM {table}")
    deadline = time.monotonic() + 10
    while table.encode() not in (written := log.read_bytes()[size:]):
        assert time.monotonic() < deadline, "the log shows no errors"
    return written


def test_statistics_of_statements_hold_no_password(superuser):
    superuser.execute(f"CREATE ROLE somebody PASSWORD '{MARK}'")
    superuser.execute("DROP ROLE somebody")
    superuser.execute("SELECT %s::text", [MARK])
    texts = superuser.execute("SELECT query FROM pg_stat_statements").fetchall()
    assert texts and not [text for (text,) in texts if MARK in text]
