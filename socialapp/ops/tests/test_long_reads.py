"""A read that has taken off its timeouts is ended all the same; nobody else's transaction is."""

import os

import psycopg
import pytest
from django.db import connections

from socialapp.ops.long_reads import end_long_reads


@pytest.mark.parametrize("server", ["DATABASE_READ_URL", "REPLICA_URLS"])
def test_a_session_that_keeps_a_transaction_open_is_ended(clean_stores, server):
    with psycopg.connect(os.environ[server]) as reader, psycopg.connect(os.environ["DATABASE_URL"]) as writer:
        reader.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
        writer.execute("SELECT 1")
        reader.execute("SELECT pg_sleep(0.2)")
        assert end_long_reads(longest=600) == 0
        assert end_long_reads(longest=0.1) >= 1
        with pytest.raises(psycopg.OperationalError):
            reader.execute("SELECT 1")
        assert writer.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_is_down_stops_nothing(clean_stores, monkeypatch):
    monkeypatch.setitem(connections["replica1"].settings_dict, "HOST", "/nowhere")
    with psycopg.connect(os.environ["DATABASE_READ_URL"]) as reader:
        reader.execute("SELECT pg_sleep(0.2)")
        assert end_long_reads(longest=0.1) >= 1
        with pytest.raises(psycopg.OperationalError):
            reader.execute("SELECT 1")
