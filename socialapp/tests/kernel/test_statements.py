"""Statements of every write: parsed once for each connection, sent together where nobody asks for results."""

from contextlib import suppress

import psycopg
import pytest
from django.db import DataError, connections, transaction
from psycopg.pq import TransactionStatus

from socialapp.cqrs import statements
from socialapp.cqrs.deadlines import PatientConnection
from socialapp.tests.architecture.test_deploy_checks import manage

STATEMENT = "SELECT %s::int + 1 AS prepared_in_a_test"
KNOWN = "SELECT count(*), sum(generic_plans + custom_plans) FROM pg_prepared_statements WHERE statement LIKE %s"
THRESHOLD = "from django.db import connection; print(connection.get_connection_params()['prepare_threshold'])"

pytestmark = pytest.mark.usefixtures("servers")


def answers(*numbers: int) -> list[int]:
    found = []
    for number in numbers:
        with statements.cursor() as cursor:
            cursor.execute(STATEMENT, [number])
            found.append(cursor.fetchone()[0])
    return found


def known() -> tuple[int, int]:
    with connections["default"].cursor() as cursor:
        cursor.execute(KNOWN, ["%prepared_in_a_test"])
        return cursor.fetchone()


def waits_of_a_pipeline(kind: type[psycopg.Connection]) -> int:
    """How often one that begins a transaction and runs a statement has to wait for the server."""
    waits = []

    def counted(steps):
        answer = None
        with suppress(StopIteration):
            while True:
                waits.append(wanted := steps.send(answer))
                answer = yield wanted

    class Counting(kind):
        def wait(self, steps, *arguments, **options):
            return super().wait(counted(steps), *arguments, **options)

    server = connections["default"].settings_dict
    address = {"host": server["HOST"], "port": server["PORT"], "dbname": server["NAME"]}
    with Counting.connect(**address, user=server["USER"], password=server["PASSWORD"]) as connection:
        waits.clear()
        with connection.pipeline():
            cursor = connection.execute("SELECT 1")
        counted_until_here = len(waits)
        assert connection.info.transaction_status == TransactionStatus.INTRANS and cursor.fetchall() == [(1,)]
    return counted_until_here


def test_the_begin_of_a_pipeline_goes_with_its_first_statement():
    assert waits_of_a_pipeline(PatientConnection) < waits_of_a_pipeline(psycopg.Connection)


def test_the_first_error_of_a_pipeline_is_raised_by_its_end():
    with pytest.raises(DataError), transaction.atomic(), statements.pipeline(), statements.cursor() as cursor:
        cursor.execute("SELECT 1 / %s::int", [0])
        cursor.execute(STATEMENT, [1])
    assert answers(1) == [2]


@pytest.mark.parametrize(("threshold", "kept"), [(0, (1, 3)), (None, (0, None))])
def test_the_server_parses_a_statement_once_if_it_may(servers, threshold, kept):
    connection = connections["default"]
    # A new one, as nobody knows which statements an old one has been asked to prepare.
    connection.close()
    connection.ensure_connection()
    connection.connection.prepare_threshold = threshold
    assert answers(1, 2, 3) == [2, 3, 4]
    assert known() == kept
    connection.close()


@pytest.mark.parametrize(
    ("role", "setting", "threshold"), [("write", "on", "0"), ("write", "off", "None"), ("worker", "on", "None")]
)
def test_a_setting_says_whether_it_may(role, setting, threshold):
    run = manage(role, "shell", "-v", "0", "-c", THRESHOLD, PREPARED_STATEMENTS=setting)
    assert run.stdout.split() == [threshold], run.stderr
