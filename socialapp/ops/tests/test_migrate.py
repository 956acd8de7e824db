"""A migration may take as long as it needs; it does not wait for a lock for ever, and says who may have it."""

import os

import psycopg
import pytest
from django.core.management import CommandError
from django.db import connection


def limits(sql: str) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return dict(cursor.fetchall())


SHOWN = "SELECT name, setting FROM pg_settings WHERE name LIKE '%timeout'"


@pytest.fixture
def a_migration(run, settings):
    """One of the app `ops`, which has none otherwise; not applied yet."""
    settings.MIGRATION_MODULES = {"ops": "socialapp.ops.tests.migrations"}
    yield
    run("migrate", "ops", "zero")


def test_it_has_none_of_the_applications_limits(run, a_migration):
    before = limits(SHOWN)
    run("migrate", "ops", "--lock-wait", "7")
    found = limits("SELECT name, setting FROM ops_limits")
    assert (found["statement_timeout"], found["idle_in_transaction_session_timeout"]) == ("0", "0")
    assert found["lock_timeout"] == "7000"
    assert limits(SHOWN) == before and before["statement_timeout"] != "0", "the process goes on under them"


def test_it_gives_up_a_lock_and_says_who_may_have_it(run, a_migration):
    with psycopg.connect(os.environ["DATABASE_URL"], application_name="a report") as reader:
        reader.execute("SELECT 1 FROM cqrs_heartbeat")
        pid = reader.info.backend_pid
        with pytest.raises(CommandError) as refusal:
            run("migrate", "ops", "--lock-wait", "1")
    said = str(refusal.value)
    assert "did not get a lock on a table within 1 s" in said and f"session {pid} (a report)" in said
    assert limits("SELECT relname, relname FROM pg_class WHERE relname = 'ops_limits'") == {}, "it was undone"
    run("migrate", "ops")
    assert limits("SELECT name, setting FROM ops_limits")


@pytest.mark.parametrize("wait", ["0", "-1", "x"])
def test_it_does_not_wait_for_ever(run, wait):
    with pytest.raises(CommandError, match="--lock-wait"):
        run("migrate", "--lock-wait", wait)
