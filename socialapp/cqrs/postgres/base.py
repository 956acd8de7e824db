"""Django's Postgres backend without a pool: each thread keeps its connection for CONN_MAX_AGE, and looks whether it has
broken before it is used again. To take one from a pool and to give it back would be 7 % of what a short write takes.
"""

import time

import psycopg
from django.db.backends.postgresql import base
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from psycopg.pq import TransactionStatus

from socialapp.cqrs import deadlines
from socialapp.cqrs.deadlines import PatientConnection

# Seconds between two attempts to connect.
BETWEEN = 0.1
# One that was closed is UNKNOWN; a task that was ended in the middle of a statement leaves one ACTIVE.
BUSY = (TransactionStatus.ACTIVE, TransactionStatus.UNKNOWN)


class DatabaseWrapper(base.DatabaseWrapper):
    """Its connections are PatientConnections, and READ COMMITTED.

    The database's setting PATIENCE: seconds that a server which restarts is waited for.
    """

    isolation_level = IsolationLevel.READ_COMMITTED

    def get_new_connection(self, conn_params: dict) -> PatientConnection:
        """Raises psycopg.OperationalError when none could be had in time."""
        deadline = time.monotonic() + deadlines.at_most(self.settings_dict["PATIENCE"])
        while True:
            try:
                return PatientConnection.connect(**conn_params)
            except psycopg.OperationalError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(BETWEEN)

    def is_usable(self) -> bool:
        """Whether its server has closed it since, or owes an answer: of a kept one that shows without asking."""
        if self.connection is None or self.connection.info.transaction_status in BUSY:
            return False
        return not deadlines.has_news(self.connection)
