"""Ends sessions of the read role that keep a transaction open for too long. Run by beat.

The read role's database user can turn off each of its timeouts: Postgres has no privilege for that. A transaction that
stays open holds back the events' horizon and VACUUM, on a replica also its replay.
"""

import logging

import psycopg
from django.conf import settings
from django.db import connections

logger = logging.getLogger(__name__)

# Seconds. A read's statements are limited to less by its own settings.
LONGEST = 30.0
# Seconds for connecting, and for the one statement.
PATIENCE = 2
# What proves to a server who connects; everything else of a URL is about the server.
OF_USER = ("user", "password", "passfile", "sslcert", "sslkey", "sslpassword")
END = """
    SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE usename = %s AND xact_start < clock_timestamp() - make_interval(secs => %s)
"""


def end_long_reads(longest: float = LONGEST) -> int:
    """How many sessions were ended, on the primary and the replicas. A server that does not answer is left out."""
    ended = 0
    for alias in settings.DATABASES:
        try:
            pids = _end(alias, longest)
        except psycopg.Error as error:
            logger.warning("%s was not asked for long reads; sessions of the read role may stay: %s", alias, error)
            continue
        if pids:
            logger.warning("ended sessions of the read role on %s, open for over %d s: pids %s", alias, longest, pids)
        ended += len(pids)
    return ended


def _end(alias: str, longest: float) -> list[int]:
    """As the primary's user, who has the right to end them; a replica's alias may have the read role's user."""
    with psycopg.connect(**_parameters(alias)) as connection:
        return [pid for pid, was_there in connection.execute(END, [settings.DATABASE_READ_USER, longest]) if was_there]


def _parameters(alias: str) -> dict:
    """libpq's: where the alias's URL points to, TLS included, and who DATABASE_URL says that we are."""
    of_server, of_user = (connections[name].get_connection_params() for name in (alias, "default"))
    parameters = {name: value for name, value in of_server.items() if name not in OF_USER}
    parameters |= {name: of_user[name] for name in OF_USER if name in of_user}
    own = {"connect_timeout": PATIENCE, "options": f"-c statement_timeout={PATIENCE * 1000}", "autocommit": True}
    return parameters | own
