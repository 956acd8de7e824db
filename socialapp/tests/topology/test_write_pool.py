"""The write pool's connections to the primary: those that a restart has broken fail no write."""

from concurrent.futures import ThreadPoolExecutor

import psycopg

from socialapp.tests.client import Api, register

CUT = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = 'socialapp-write'"


def test_broken_connections_are_made_anew(stack):
    at = stack.socket("write-1")
    with ThreadPoolExecutor(6) as clients:
        known: list[Api] = list(clients.map(lambda _: register(at), range(6)))
    with psycopg.connect(stack.environment("worker")["DATABASE_URL"], autocommit=True) as primary:
        (cut,) = primary.execute(CUT).fetchone()
    assert cut > 1, "several were open"
    answers = [api.patch("/api/v1/me", {"name": "Ada"}) for api in known for _ in range(2)]
    assert {answer.status for answer in answers} <= {200, 202}
    register(at)
