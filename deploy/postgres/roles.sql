-- Makes a database with the two users of the application. Run by the superuser through psql, for each database,
-- as often as one likes:
--
--   WRITE_PASSWORD=... READ_PASSWORD=... psql -v database=socialapp -f roles.sql postgres
--
-- socialapp       owns the database: migrations, the write pool, the workers. May end sessions of socialapp_read
-- socialapp_read  can only SELECT, also on the primary, and only the columns that `manage.py migrate` grants it
--                 (config/read_columns.py): no tables of its own, no temporary ones, no large objects, no advisory
--                 locks. What Postgres lets every user do: NOTIFY, LISTEN, LOCK in ACCESS SHARE MODE,
--                 DO without writes, ALTER DEFAULT PRIVILEGES for its own objects (it can make none), and changes of
--                 its own password and settings

\set ON_ERROR_STOP on
\set QUIET on
\getenv write_password WRITE_PASSWORD
\getenv read_password READ_PASSWORD
SELECT current_setting('max_connections')::int * 3 / 4 AS read_connections \gset
SET client_min_messages = warning;

SELECT format('CREATE ROLE %I LOGIN', name)
FROM (VALUES ('socialapp'), ('socialapp_read')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE socialapp PASSWORD :'write_password';
ALTER ROLE socialapp_read PASSWORD :'read_password';
-- A user may change its own password and settings, and nothing in Postgres refuses that: each start puts them back.
ALTER ROLE socialapp_read RESET ALL;
ALTER ROLE socialapp_read SET default_transaction_read_only = on;
-- These two it cannot change. Three quarters of max_connections: writers always find a connection.
ALTER ROLE socialapp_read CONNECTION LIMIT :read_connections;
ALTER ROLE socialapp_read SET temp_file_limit = '256MB';
-- It can change every timeout. The task `end-long-reads` ends what has run for too long instead: for that, socialapp
-- needs the rights of socialapp_read, which are less than its own.
GRANT socialapp_read TO socialapp WITH INHERIT TRUE, SET FALSE, ADMIN FALSE;

-- Health and metrics say which session holds a table or an old transaction; Postgres hides that of other users.
GRANT pg_read_all_stats TO socialapp;

SELECT format('CREATE DATABASE %I OWNER socialapp', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec

REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO socialapp_read;
ALTER ROLE socialapp_read IN DATABASE :"database" RESET ALL;
-- Everybody may make temporary tables, large objects and advisory locks there.
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
SELECT format('GRANT CONNECT ON DATABASE postgres TO %I', rolname)
FROM pg_roles WHERE rolreplication AND NOT rolsuper \gexec

\connect :"database"
SET client_min_messages = warning;

CREATE EXTENSION IF NOT EXISTS pg_stat_statements;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO socialapp_read;
-- An earlier version of this file granted whole tables.
ALTER DEFAULT PRIVILEGES FOR ROLE socialapp IN SCHEMA public REVOKE SELECT ON TABLES FROM socialapp_read;
-- Open to everyone by default. The texts of other users' statements are hidden in it, but not how often they ran.
REVOKE ALL ON pg_stat_statements, pg_stat_statements_info FROM PUBLIC, socialapp_read;
GRANT SELECT ON pg_stat_statements TO socialapp;

-- Everyone may call these by default, and each of them changes something that outlives the call.
DO $$
DECLARE
    callable regprocedure;
BEGIN
    FOR callable IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
          AND proname ~ ('^(lo_.*|lowrite|loread|pg_(try_)?advisory_.*|pg_logical_emit_message|pg_notify'
                         '|pg_(terminate|cancel)_backend|pg_current_xact_id|txid_current)$')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', callable);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO socialapp', callable);
    END LOOP;
END
$$;
