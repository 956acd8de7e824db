"""What the read user can do on the primary: SELECT what it was granted, and nothing that leaves a trace."""

import psycopg
import pytest

DATABASE = "socialapp_roles_test"


@pytest.fixture(scope="module")
def urls(servers):
    servers.create_database(DATABASE)
    environment = servers.environment("worker")
    yield {
        name: environment[name].replace("/socialapp?", f"/{DATABASE}?")
        for name in ("DATABASE_URL", "DATABASE_READ_URL", "REPLICA_URLS")
    }
    servers.drop_database(DATABASE)


@pytest.fixture
def owner(urls):
    with psycopg.connect(urls["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS thing")
        connection.execute("CREATE TABLE thing (id int)")
        connection.execute("INSERT INTO thing VALUES (1)")
        yield connection


@pytest.fixture
def reader(urls, owner):
    with psycopg.connect(urls["DATABASE_READ_URL"], autocommit=True) as connection:
        # The default alone would be no protection: a client may turn it off.
        connection.execute("SET default_transaction_read_only = off")
        yield connection


def test_the_reader_reads_what_the_owner_grants(owner, reader):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("SELECT id FROM thing")
    owner.execute("GRANT SELECT (id) ON thing TO socialapp_read")
    assert reader.execute("SELECT id FROM thing").fetchone() == (1,)


def test_the_reader_is_read_only_by_default(urls):
    with psycopg.connect(urls["DATABASE_READ_URL"]) as connection:
        assert connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO thing VALUES (2)",
        "UPDATE thing SET id = 2",
        "DELETE FROM thing",
        "TRUNCATE thing",
        "SELECT * FROM thing FOR UPDATE",
        "CREATE TABLE other (id int)",
        "CREATE TEMPORARY TABLE other (id int)",
        "CREATE SCHEMA other",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_xact_lock(1, 2)",
        "SELECT pg_logical_emit_message(false, 'a', 'b')",
    ],
)
def test_the_reader_changes_nothing(reader, sql):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute(sql)


def test_the_owner_keeps_its_locks(owner):
    assert owner.execute("SELECT pg_try_advisory_lock(1)").fetchone() == (True,)


def test_making_the_database_again_changes_nothing(servers, owner):
    servers.create_database(DATABASE)
    assert owner.execute("SELECT id FROM thing").fetchone() == (1,)


def test_a_database_name_is_checked(servers):
    with pytest.raises(ValueError, match="not a database name"):
        servers.create_database('x"; DROP DATABASE socialapp; --')
