"""A read that has taken off its timeouts is ended all the same; nobody else's transaction is."""

import logging
import os
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def over_tcp(socket_path: str) -> Iterator[int]:
    """The port of 127.0.0.1 behind which a Postgres without TLS listens, until the end of the block."""

    class Forwarder(socketserver.BaseRequestHandler):
        def handle(self):
            with socket.socket(socket.AF_UNIX) as server:
                server.connect(socket_path)
                both = {self.request: server, server: self.request}
                chunk = b"-"
                while chunk:
                    end = select.select([*both], [], [])[0][0]
                    chunk = end.recv(65536)
                    both[end].sendall(chunk)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Forwarder) as listening:
        listening.daemon_threads = True
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield listening.server_address[1]
        finally:
            listening.shutdown()


def test_what_the_url_says_of_tls_is_kept_to(clean_stores, monkeypatch, caplog):
    """The primary's password goes to no server that cannot prove who it is."""
    server = connections["replica1"].settings_dict
    with over_tcp(f"{server['HOST']}/.s.PGSQL.5432") as port, psycopg.connect(os.environ["REPLICA_URLS"]) as reader:
        monkeypatch.setitem(server, "HOST", "127.0.0.1")
        monkeypatch.setitem(server, "PORT", port)
        reader.execute("SELECT pg_sleep(0.2)")
        with monkeypatch.context() as patched:
            patched.setitem(server, "OPTIONS", server["OPTIONS"] | {"sslmode": "require"})
            assert end_long_reads(longest=0.1) == 0
            assert "replica1 was not asked for long reads" in caplog.text and "SSL" in caplog.text
        reader.execute("SELECT 1")
        assert end_long_reads(longest=0.1) == 1
        with pytest.raises(psycopg.OperationalError):
            reader.execute("SELECT 1")


def test_a_server_that_is_down_stops_nothing(clean_stores, monkeypatch, caplog):
    monkeypatch.setitem(connections["replica1"].settings_dict, "HOST", "/nowhere")
    with psycopg.connect(os.environ["DATABASE_READ_URL"]) as reader:
        reader.execute("SELECT pg_sleep(0.2)")
        assert end_long_reads(longest=0.1) >= 1
        with pytest.raises(psycopg.OperationalError):
            reader.execute("SELECT 1")
    (said,) = [one for one in caplog.records if "replica1" in one.getMessage()]
    assert said.levelno == logging.WARNING and "/nowhere" in said.getMessage()
