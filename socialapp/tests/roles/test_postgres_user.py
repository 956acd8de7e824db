"""What the read role's Postgres user may do, on the primary and on a replica, with nothing but its password."""

import psycopg
import pytest
from psycopg import errors

from config.read_columns import wanted

ROWS = [
    "INSERT INTO posts_like (post_id, user_id, stamp) VALUES (gen_random_uuid(), gen_random_uuid(), 1)",
    "UPDATE accounts_user SET name = 'x'",
    "DELETE FROM posts_post",
    "MERGE INTO posts_post p USING posts_post q ON p.id = q.id WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM posts_post RETURNING 1) SELECT * FROM gone",
    "EXPLAIN ANALYZE DELETE FROM posts_post",
    "DO $$ BEGIN DELETE FROM posts_post; END $$",
    "DO $$ BEGIN EXECUTE 'CREATE TABLE t (a int)'; END $$",
    "TRUNCATE posts_post",
    "COPY accounts_user (name) FROM STDIN",
    "COPY accounts_user (name) FROM '/etc/hostname'",
    "COPY accounts_user (name) FROM PROGRAM 'true'",
    "COPY accounts_user TO '/tmp/x'",
    "SELECT * FROM accounts_user FOR UPDATE",
    "SELECT * FROM accounts_user FOR KEY SHARE",
    "SELECT nextval('cqrs_event_position_seq')",
    "SELECT setval('cqrs_event_position_seq', 1)",
]
THINGS = [
    "CREATE TABLE t (a int)",
    "CREATE UNLOGGED TABLE t (a int)",
    "CREATE TEMP TABLE t (a int)",
    "CREATE TABLE pg_temp.t (a int)",
    "CREATE TEMP SEQUENCE s",
    "CREATE TEMP VIEW v AS SELECT 1",
    "SELECT 1 INTO t",
    "SELECT 1 INTO TEMP t",
    "CREATE VIEW v AS SELECT 1",
    "CREATE SCHEMA s",
    "CREATE TYPE y AS (a int)",
    "CREATE DOMAIN d AS int",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION pg_trgm",
    "CREATE PUBLICATION p",
    "CREATE DATABASE d",
    "CREATE ROLE r",
    "CREATE INDEX ON accounts_user (name)",
    "CREATE STATISTICS st ON id, name FROM accounts_user",
    "CREATE RULE r AS ON INSERT TO accounts_user DO NOTHING",
    "ALTER TABLE accounts_user ADD x int",
    "DROP TABLE accounts_user",
    "COMMENT ON TABLE accounts_user IS 'x'",
    "REINDEX TABLE accounts_user",
    "CLUSTER accounts_user USING accounts_user_pkey",
]
LARGE_OBJECTS = [
    "SELECT lo_create(0)",
    "SELECT lo_creat(-1)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_put(1, 0, 'x')",
    "SELECT lo_get(1)",
    "SELECT lo_open(1, 131072)",
    "SELECT lo_unlink(1)",
    "SELECT lo_truncate(0, 0)",
    "SELECT lowrite(0, 'x')",
    "SELECT lo_import('/etc/hostname')",
    "SELECT lo_export(1, '/tmp/x')",
]
ADVISORY = [
    f"SELECT pg_{attempt}advisory_{scope}lock{mode}({key})"
    for attempt in ("", "try_")
    for scope in ("", "xact_")
    for mode in ("", "_shared")
    for key in ("1", "1, 1")
] + ["SELECT pg_advisory_unlock(1)", "SELECT pg_advisory_unlock_shared(1)", "SELECT pg_advisory_unlock_all()"]
LOCKS = [
    f"BEGIN; LOCK TABLE accounts_user IN {mode} MODE"
    for mode in (
        "ACCESS SHARE",
        "ROW SHARE",
        "ROW EXCLUSIVE",
        "SHARE UPDATE EXCLUSIVE",
        "SHARE",
        "EXCLUSIVE",
        "ACCESS EXCLUSIVE",
    )
]
POWERS = [
    "SET ROLE socialapp",
    "SET SESSION AUTHORIZATION socialapp",
    "SET session_replication_role = replica",
    "ALTER ROLE socialapp PASSWORD 'x'",
    "ALTER ROLE socialapp_read SUPERUSER",
    "ALTER ROLE socialapp_read CREATEDB",
    "ALTER ROLE ALL SET work_mem = '1MB'",
    "ALTER DATABASE socialapp SET work_mem = '1MB'",
    "ALTER SYSTEM SET work_mem = '1MB'",
    "GRANT socialapp TO socialapp_read",
    "GRANT SELECT ON accounts_user TO PUBLIC",
    "DROP OWNED BY socialapp_read",
    "REASSIGN OWNED BY socialapp TO socialapp_read",
    "DROP OWNED BY socialapp",
    "CHECKPOINT",
    "SELECT rolpassword FROM pg_authid",
    "SELECT pg_terminate_backend(pg_backend_pid())",
    "SELECT pg_cancel_backend(pg_backend_pid())",
    "SELECT pg_notify('c', 'x')",
    "SELECT pg_logical_emit_message(true, 'a', 'b')",
    "SELECT pg_logical_emit_message(false, 'a', 'b'::bytea)",
    "SELECT pg_current_xact_id()",
    "SELECT txid_current()",
    "SELECT pg_create_restore_point('x')",
    "SELECT pg_switch_wal()",
    "SELECT pg_backup_start('x')",
    "SELECT pg_promote()",
    "SELECT pg_wal_replay_pause()",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "SELECT pg_create_physical_replication_slot('x')",
    "SELECT pg_drop_replication_slot('replica')",
    "SELECT pg_replication_origin_create('x')",
    "SELECT pg_stat_reset()",
    "SELECT pg_stat_statements_reset()",
    "SELECT pg_read_file('/etc/hostname')",
    "SELECT pg_ls_dir('/')",
    "SELECT pg_clear_relation_stats('public', 'accounts_user')",
]
SECRETS = [
    "SELECT password FROM accounts_user",
    "SELECT * FROM accounts_user",
    "SELECT u FROM accounts_user u",
    "SELECT row_to_json(u) FROM accounts_user u",
    "SELECT id FROM accounts_user WHERE password LIKE 'argon2%'",
    "SELECT id FROM accounts_user ORDER BY password",
    "SELECT id FROM accounts_user GROUP BY id HAVING max(password) > ''",
    "TABLE accounts_user",
    "COPY accounts_user TO STDOUT",
    "COPY accounts_user (password) TO STDOUT",
    "SELECT digest FROM accounts_refreshtoken",
    "SELECT count(*) FROM accounts_refreshtoken",
    "SELECT payment_token FROM orders_order",
    "SELECT reference FROM orders_paymentattempt",
    "SELECT session_data FROM django_session",
    "SELECT envelope FROM cqrs_deadletter",
    "SELECT traceback FROM cqrs_deadletter",
    "SELECT body FROM cqrs_inboxcommand",
    "SELECT idempotency_key FROM cqrs_commandresult",
    "SELECT change_message FROM django_admin_log",
    "SELECT refusal FROM orders_orderemail",
    "SELECT stavalues1 FROM pg_statistic",
    "SELECT query FROM pg_stat_statements",
]
LIMITS = [
    "SET temp_file_limit = -1",
    "ALTER ROLE socialapp_read RESET temp_file_limit",
    "ALTER ROLE socialapp_read SET temp_file_limit = -1",
    "ALTER ROLE socialapp_read CONNECTION LIMIT -1",
    "SET log_min_duration_statement = 0",
    "SET log_min_error_statement = 'error'",
    "SET log_statement = 'all'",
    "SET log_parameter_max_length = -1",
]
REFUSED = SECRETS + LIMITS + ROWS + THINGS + LARGE_OBJECTS + ADVISORY + LOCKS + POWERS

# A standby refuses some of these before it looks at privileges.
REFUSALS = {
    "primary": (errors.InsufficientPrivilege,),
    "replica": (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction, errors.ObjectNotInPrerequisiteState),
}


@pytest.mark.parametrize("server", ["primary", "replica"])
@pytest.mark.parametrize("statement", REFUSED)
def test_it_is_refused(reader, server, statement):
    connection = reader(server)
    with pytest.raises(REFUSALS[server]):
        connection.execute(statement)


@pytest.mark.parametrize("server", ["primary", "replica"])
def test_a_prepared_transaction_is_refused(reader, server):
    connection = reader(server)
    connection.autocommit = False
    connection.execute("SELECT 1")
    with pytest.raises((errors.ObjectNotInPrerequisiteState, errors.ReadOnlySqlTransaction)):
        connection.execute("PREPARE TRANSACTION 'x'")


@pytest.mark.parametrize("database", ["postgres", "template1", "template0"])
def test_no_other_database_lets_it_in(reader, database):
    with pytest.raises(psycopg.OperationalError, match="permission denied|not currently accepting"):
        reader("primary", database)


@pytest.mark.parametrize("server", ["primary", "replica"])
def test_it_begins_read_only(reader, server):
    connection = reader(server)
    connection.execute("RESET default_transaction_read_only")
    assert connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)


COLUMNS = """
    SELECT relation.relname, attribute.attname
    FROM pg_class AS relation JOIN pg_attribute AS attribute ON attribute.attrelid = relation.oid
    WHERE relation.relnamespace = 'public'::regnamespace AND relation.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND attribute.attnum > 0 AND NOT attribute.attisdropped
"""


@pytest.mark.parametrize("server", ["primary", "replica"])
def test_of_all_tables_it_reads_the_declared_columns(reader, server):
    connection = reader(server)
    columns = connection.execute(COLUMNS).fetchall()
    assert len(columns) > 100
    assert {column for column in columns if can_read(connection, *column)} == wanted()


def can_read(connection: psycopg.Connection, table: str, column: str) -> bool:
    try:
        connection.execute(f'SELECT "{column}" FROM "{table}" LIMIT 1')
    except errors.InsufficientPrivilege:
        return False
    return True


def test_a_migration_takes_back_what_it_does_not_declare(reader, owner, migrate):
    owner.execute("GRANT SELECT ON accounts_user, accounts_refreshtoken TO socialapp_read")
    owner.execute("GRANT UPDATE (name) ON accounts_user TO socialapp_read")
    migrate()
    with pytest.raises(errors.InsufficientPrivilege):
        reader("primary").execute("SELECT password FROM accounts_user")
    with pytest.raises(errors.InsufficientPrivilege):
        reader("primary").execute("SELECT digest FROM accounts_refreshtoken")
    with pytest.raises(errors.InsufficientPrivilege):
        reader("primary").execute("UPDATE accounts_user SET name = 'x'")


def test_it_has_only_so_many_connections(reader):
    """Writers find a connection, however many a reader opens."""
    (most,) = reader("primary").execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user").fetchone()
    (all_of_them,) = reader("primary").execute("SHOW max_connections").fetchone()
    assert 0 < most < int(all_of_them)


# 400 MB.
LARGE_SORT = """
    SELECT max(x) FROM (SELECT g || repeat('x', 500) AS x FROM generate_series(1, 800000) AS g ORDER BY 1 OFFSET 0)
"""


def test_it_writes_no_large_files(reader):
    connection = reader("primary")
    connection.execute("SET work_mem = '64kB'")
    with pytest.raises(errors.ConfigurationLimitExceeded, match="temp_file_limit"):
        connection.execute(LARGE_SORT)


# Postgres has no privilege for these. None of them changes what anybody else reads.
NOT_REFUSED = [
    "NOTIFY c, 'x'",
    "LISTEN c",
    "DO $$ BEGIN PERFORM 1; END $$",
    "SELECT pg_export_snapshot()",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    "SET statement_timeout = 0",
]


@pytest.mark.parametrize("statement", NOT_REFUSED)
def test_what_cannot_be_refused_changes_nothing_for_others(reader, statement):
    connection = reader("primary")
    connection.autocommit = False
    before = privileges(connection)
    connection.execute(statement)
    assert privileges(connection) == before


def privileges(connection: psycopg.Connection) -> list[tuple]:
    return connection.execute("SELECT relname, relacl::text FROM pg_class ORDER BY oid").fetchall()


def test_a_start_of_the_stack_puts_back_what_it_did_to_itself(stack, reader):
    """A user may change its own password and settings; Postgres cannot refuse that."""
    connection = reader("primary")
    connection.execute("ALTER ROLE socialapp_read SET default_transaction_read_only = off")
    connection.execute("ALTER ROLE socialapp_read IN DATABASE socialapp SET search_path = 'nowhere'")
    try:
        connection.execute("ALTER ROLE socialapp_read PASSWORD 'x'")
    finally:
        stack.create_database("socialapp")
    settings = reader("primary").execute(
        "SELECT setconfig FROM pg_db_role_setting JOIN pg_roles ON oid = setrole WHERE rolname = 'socialapp_read'"
    )
    assert settings.fetchall() == [(["default_transaction_read_only=on", "temp_file_limit=256MB"],)]
