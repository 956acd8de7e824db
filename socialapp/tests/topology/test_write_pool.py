"""The write pool's connections to the primary: those that a restart has broken fail no write."""

from concurrent.futures import ThreadPoolExecutor

import psycopg

from socialapp.tests.client import register

CUT = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = 'socialapp-write'"


def test_broken_connections_are_made_anew(stack):
    """Registration is written through; whatever is accepted into the log would not notice."""
    at = stack.socket("write-1")
    with ThreadPoolExecutor(6) as clients:
        list(clients.map(lambda _: register(at), range(6)))
        with psycopg.connect(stack.environment("worker")["DATABASE_URL"], autocommit=True) as primary:
            (cut,) = primary.execute(CUT).fetchone()
        assert cut > 2, "several were open"
        list(clients.map(lambda _: register(at), range(6)))
