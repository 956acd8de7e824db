"""The role of this process: read, write, worker or realtime. Anyone may ask; nobody can change it."""

from enum import StrEnum
from functools import cache

from django.conf import settings


class Role(StrEnum):
    READ = "read"
    WRITE = "write"
    WORKER = "worker"
    REALTIME = "realtime"


WRITERS = frozenset({Role.WRITE, Role.WORKER})


class WriteInReadRole(RuntimeError):
    """Code tried to write in a process that may only read."""


@cache
def current() -> Role:
    return Role(settings.ROLE)


def may_write() -> bool:
    return current() in WRITERS


def require_write(what: str) -> None:
    """Raise WriteInReadRole unless this process may write; `what` names the thing in the error."""
    if not may_write():
        raise WriteInReadRole(f"{what}: a process of role {current()!s} cannot write")
