"""manage.py migrate: Django's, without the application's timeouts; then the read role's rights to single columns
(config/read_columns.py)."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from config import read_columns

LOCK_NOT_AVAILABLE = "55P03"
# Seconds. Whoever comes after the migration to the same table waits behind it, and gives up after LOCK_TIMEOUT.
LOCK_WAIT = 5
OPEN = """
    SELECT pid, application_name, extract(epoch FROM clock_timestamp() - xact_start)::float FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND xact_start < clock_timestamp() - make_interval(secs => %s)
    ORDER BY xact_start LIMIT 5
"""


class Command(migrate.Command):
    help = (
        f"{migrate.Command.help} It may take as long as it needs, and waits --lock-wait seconds for each lock. Then it"
        " grants the read role's database user the columns that reads need."
    )

    def add_arguments(self, parser):
        super().add_arguments(parser)
        described = "seconds to wait for each lock on a table before giving up (default: %(default)s)"
        parser.add_argument("--lock-wait", type=seconds, default=LOCK_WAIT, metavar="SECONDS", help=described)

    def handle(self, *arguments, **options):
        connection, wait = connections[options["database"]], options["lock_wait"]
        with patient(connection, wait):
            try:
                super().handle(*arguments, **options)
                self._grant(options)
            except OperationalError as error:
                if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                    raise
                raise CommandError(not_locked(connection, wait)) from error

    def _grant(self, options: dict) -> None:
        partial = options["app_label"] or options["plan"] or options["check_unapplied"]
        if options["database"] != "default" or partial:
            return
        user = settings.DATABASE_READ_USER
        if not read_columns.has_user(user):
            self.stderr.write(
                f"There is no database user {user}: the read role was granted nothing. Run deploy/postgres/roles.sql,"
                " or set DATABASE_READ_USER to the user of DATABASE_READ_URL; then migrate again."
            )
        elif read_columns.grant(user) and options["verbosity"]:
            self.stdout.write(f"The database user {user} may read the columns of config/read_columns.py and no others.")


def seconds(text: str) -> int:
    """Raises ValueError for what is no number above 0: with 0 Postgres would wait for ever."""
    number = int(text)
    if number <= 0:
        raise ValueError("at least 1")
    return number


@contextmanager
def patient(connection: BaseDatabaseWrapper, lock_wait: int) -> Iterator[None]:
    """Statements of this block have no limit; each waits `lock_wait` seconds at most for each of its locks."""
    held = connection.settings_dict["OPTIONS"]
    limits = f"-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c lock_timeout={lock_wait}s"
    # For each connection that is made meanwhile: a migration may close its own.
    connection.close()
    connection.settings_dict["OPTIONS"] = {**held, "options": limits}
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["OPTIONS"] = held


def not_locked(connection: BaseDatabaseWrapper, wait: int) -> str:
    return (
        f"A migration did not get a lock on a table within {wait} s: {_holders(connection, wait)}. It was undone (one"
        " that is not atomic goes on where it stopped), and those before it stay applied. Wait for that transaction or"
        " end it (SELECT pg_terminate_backend(…)), then migrate again. --lock-wait SECONDS waits longer, and everybody"
        " else who needs the table waits behind it."
    )


def _holders(connection: BaseDatabaseWrapper, wait: int) -> str:
    """The transactions that may have the lock: those that have been open for as long."""
    with connection.cursor() as cursor:
        cursor.execute(OPEN, [wait])
        found = [f"session {pid} ({name or 'without a name'}) for {age:.0f} s" for pid, name, age in cursor.fetchall()]
    return f"open are the transactions of {', '.join(found)}" if found else "whoever had it has ended since"
