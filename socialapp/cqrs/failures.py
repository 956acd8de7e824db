"""Whose fault is an error? The servers' (try the same again) or the command's or event's (put it aside)."""

from django.db import InterfaceError, OperationalError

from socialapp.cqrs import valkey

# SQLSTATE classes: lost connections, rollbacks, lack of resources, not ready or cancelled (55, 57).
INFRASTRUCTURE = ("08", "40", "53", "55", "57")


def is_infrastructure(error: BaseException) -> bool:
    """Whether an error says something about the servers, and nothing about what was being done."""
    if isinstance(error, valkey.UNREACHABLE):
        return True
    sqlstate = getattr(error.__cause__, "sqlstate", None) or ""
    if isinstance(error, OperationalError | InterfaceError) and not sqlstate:
        return True
    return sqlstate.startswith(INFRASTRUCTURE)
