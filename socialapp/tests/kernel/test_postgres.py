"""The database backend of those who write: a connection is kept, looked at, and not kept for ever."""

from contextlib import closing
from io import BytesIO

import psycopg
import pytest
from django.db import OperationalError, close_old_connections, connections
from django.http import HttpResponse

from socialapp.cqrs.deadlines import PatientConnection
from socialapp.cqrs.http import plain_commands
from socialapp.cqrs.http.plain import PlainRequest
from socialapp.tests.kernel.test_execute import TERMINATE

POST = {"REQUEST_METHOD": "POST", "PATH_INFO": "/", "wsgi.input": BytesIO(), "SERVER_NAME": "here", "SERVER_PORT": "80"}


@pytest.fixture
def connection(servers):
    connection = connections["default"]
    connection.close()
    connection.ensure_connection()
    yield connection
    connection.close()


def answer(connection) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return cursor.fetchone()[0]


def cut(connection) -> None:
    with closing(connections.create_connection("default")) as other:
        other.cursor().execute(TERMINATE, [connection.connection.info.backend_pid])


def owe(connection) -> None:
    """As a task leaves it that is ended while it waits."""
    connection.connection.pgconn.send_query(b"SELECT pg_sleep(2)")


def test_it_is_kept_from_request_to_request(connection):
    first = answer(connection)
    close_old_connections()
    assert answer(connection) == first


@pytest.mark.parametrize("harm", [cut, owe, lambda connection: connection.connection.close()])
def test_what_cannot_be_used_any_more_is_replaced(connection, harm):
    first = connection.connection
    harm(connection)
    close_old_connections()
    assert answer(connection) and connection.connection is not first and first.closed


def test_a_thread_that_was_idle_for_long_connects_anew(connection):
    """A peer that vanished without a word would be found out by nothing else for minutes."""
    seen = []

    class View:
        def setup(self, request): ...

        def post(self): ...

        def dispatch(self, request):
            answer(connection)
            seen.append(connection.connection)
            return HttpResponse()

    first, connection.close_at = connection.connection, 0
    plain_commands._answer(View, {}, PlainRequest(POST))
    assert seen[0] is not first and first.closed


@pytest.mark.parametrize(("patience", "attempts"), [(0, 1), (2, 3)])
def test_a_server_that_restarts_is_waited_for_if_somebody_may_wait(connection, monkeypatch, patience, attempts):
    tried, connect = [], PatientConnection.connect

    def third_time(**parameters):
        tried.append(parameters)
        if len(tried) < 3:
            raise psycopg.OperationalError("the database system is starting up")
        return connect(**parameters)

    monkeypatch.setattr(PatientConnection, "connect", third_time)
    monkeypatch.setitem(connection.settings_dict, "PATIENCE", patience)
    connection.close()
    if patience:
        assert answer(connection)
    else:
        with pytest.raises(OperationalError, match="starting up"):
            answer(connection)
    assert len(tried) == attempts
