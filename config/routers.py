"""Where queries go: writes to the primary, reads where the kernel's routing says. Used by Django's ORM only."""

from socialapp.cqrs import roles, routing


class ReadWriteRouter:
    """The process's role decides; no call site chooses a database for itself."""

    def db_for_read(self, model, **hints):
        return routing.database_for_read()

    def db_for_write(self, model, **hints):
        roles.require_write(model._meta.label)
        return "default"

    def allow_relation(self, a, b, **hints):
        return True

    def allow_migrate(self, db, app_label, **hints):
        return db == "default"
