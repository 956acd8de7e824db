"""Connections of the read role's Postgres user, with every brake that the user can take off taken off."""

import os
import subprocess
import sys

import psycopg
import pytest

UNBRAKED = (
    "SET default_transaction_read_only = off; SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE;"
    " SET statement_timeout = '3s'; SET lock_timeout = '1s'"
)


@pytest.fixture
def reader(stack):
    """connect(server) with server primary or replica."""
    environment = stack.environment("read")
    urls = {"primary": environment["DATABASE_READ_URL"], "replica": environment["REPLICA_URLS"]}
    opened = []

    def connect(server: str, database: str = "socialapp") -> psycopg.Connection:
        url = urls[server].replace("/socialapp?", f"/{database}?")
        connection = psycopg.connect(url, autocommit=True)
        opened.append(connection)
        connection.execute(UNBRAKED)
        return connection

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def owner(stack):
    with psycopg.connect(stack.environment("worker")["DATABASE_URL"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def migrate(stack):
    """Runs manage.py migrate on the stack's database."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= stack.environment("worker")

    def run() -> None:
        command = [sys.executable, "manage.py", "migrate", "-v", "0"]
        subprocess.run(command, env=environment, cwd=stack.layout.checkout, check=True, timeout=60)

    return run
