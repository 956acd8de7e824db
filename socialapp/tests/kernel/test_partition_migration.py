"""Dividing the event table that is there already: on a database of its own, no row is lost, and numbers go on."""

import os
import subprocess
import sys

import psycopg
import pytest

from socialapp.tests.fixtures import CHECKOUT

DATABASE = "socialapp_migration_test"
EVENTS = """
    INSERT INTO cqrs_event (type, version, aggregate, aggregate_id, aggregate_version, payload, time, command_id)
    SELECT 'PostsCounted', 1, 'user', gen_random_uuid(), 1, '{}', now(), gen_random_uuid() FROM generate_series(1, 1000)
    RETURNING position
"""
READABLE = "SELECT has_column_privilege('socialapp_read', 'cqrs_event', 'position', 'SELECT')"


@pytest.fixture
def database(servers):
    """(migrate, connection) of a database where events were recorded before there were partitions."""
    servers.create_database(DATABASE)
    environment = os.environ | servers.environment("worker")
    environment["DATABASE_URL"] = environment["DATABASE_URL"].replace("/socialapp?", f"/{DATABASE}?")

    def migrate(*target: str) -> None:
        command = [sys.executable, "manage.py", "migrate", "-v0", *target]
        subprocess.run(command, cwd=CHECKOUT, env=environment, check=True, capture_output=True, timeout=120)

    migrate("cqrs", "0007")
    with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as connection:
        yield migrate, connection
    servers.drop_database(DATABASE)


def rows(connection) -> list[tuple]:
    return connection.execute(
        "SELECT position, xid, aggregate_id, payload FROM cqrs_event ORDER BY position"
    ).fetchall()


def test_no_row_is_lost_and_positions_go_on(database):
    migrate, connection = database
    connection.execute(EVENTS)
    # A number that was given out and rolled back is not given out again.
    connection.execute("SELECT nextval('cqrs_event_position_seq')")
    before = rows(connection)
    migrate("cqrs", "0008")
    assert rows(connection) == before
    assert connection.execute("SELECT relkind FROM pg_class WHERE relname = 'cqrs_event'").fetchone() == ("p",)
    assert min(row[0] for row in connection.execute(EVENTS).fetchall()) == len(before) + 2
    after = rows(connection)
    migrate("cqrs", "0007")
    assert rows(connection) == after
    migrate("cqrs", "0008")
    assert rows(connection) == after
    # A partial migration grants nothing; a whole one ends with the read role's columns.
    migrate()
    assert connection.execute(READABLE).fetchone() == (True,)
