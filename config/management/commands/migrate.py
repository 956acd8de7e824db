"""manage.py migrate: Django's, and then the read role's rights to single columns (config/read_columns.py)."""

from django.conf import settings
from django.core.management.commands import migrate

from config import read_columns


class Command(migrate.Command):
    help = f"{migrate.Command.help} Then grants the read role's database user the columns that reads need."

    def handle(self, *arguments, **options):
        super().handle(*arguments, **options)
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
