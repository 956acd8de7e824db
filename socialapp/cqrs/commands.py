"""The registry of commands: frozen dataclasses of primitives, each with exactly one handler.

Domains declare commands in `commands.py` with `@command` and handlers in `handlers/` with `@handles`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, get_type_hints
from uuid import UUID

import orjson

# SQL and its parameters.
Statement = tuple[str, Sequence]
# Whether the command with this id was claimed in this transaction, or has been applied: a condition.
IS_CLAIMED = "EXISTS (SELECT FROM cqrs_commandresult WHERE id = %s)"

# Microseconds. The log's scripts count in doubles, for which adding 1 to more than this changes nothing: the year 2255.
LARGEST_STAMP = 2**53 - 1

PRIMITIVES = (str, int, bool, str | None, int | None, bool | None, tuple[str, ...])


@dataclass(frozen=True, slots=True)
class CommandType:
    """What the kernel knows of a command class.

    resource: the kind of thing that it changes, for the answer's `resource.type`.
    aggregate: the field whose id decides the order of commands; without one it is the resource itself.
    commutes: whether it may change places with the other commuting commands on its aggregate.
    """

    cls: type
    name: str
    version: int
    resource: str
    aggregate: str | None
    commutes: bool


@dataclass(frozen=True, slots=True)
class Envelope:
    """A command as accepted: who asked for what, when, and the ids that were given to it.

    stamp: microseconds since the epoch, strictly rising within a partition (see log.py).
    """

    id: UUID
    command: Any
    actor_id: UUID | None
    resource_id: UUID
    stamp: int = 0
    idempotency_key: str | None = None
    fingerprint: str | None = None

    @property
    def type(self) -> CommandType:
        return type_of(self.command)

    @property
    def accepted_at(self) -> datetime:
        return datetime.fromtimestamp(self.stamp / 1_000_000, UTC)

    @property
    def aggregate_id(self) -> str:
        aggregate = self.type.aggregate
        return getattr(self.command, aggregate) if aggregate else str(self.resource_id)

    @property
    def touches(self) -> set[str]:
        """Ids whose commands must keep their order with this one."""
        return {str(self.resource_id), self.aggregate_id}

    @property
    def commutes(self) -> bool:
        return self.type.commutes

    def require_order(self) -> None:
        """Raises an error for an aggregate that is no id, or a stamp that is no time: such a command has no place."""
        hash(self.aggregate_id)
        self.accepted_at  # noqa: B018 raises what it cannot compute

    def encode(self) -> bytes:
        """JSON for the log, which assigns the stamp, unless the command has had one before (a requeued dead letter).

        `aggregate` and `commutes` are for processes that do not know the type, see Stranger.
        """
        document = {
            "id": self.id,
            "type": self.type.name,
            "version": self.type.version,
            "actor": self.actor_id,
            "resource": self.resource_id,
            "aggregate": self.aggregate_id,
            "commutes": self.commutes,
            "key": self.idempotency_key,
            "fingerprint": self.fingerprint,
            "payload": self.command,
        }
        return orjson.dumps(document | {"stamp": self.stamp} if self.stamp else document)

    @classmethod
    def decode(cls, body: bytes, stamp: int = 0) -> "Envelope":
        """stamp: the log's, for a body that has none.

        Raises UnknownCommand when this process does not know the type and version (a rolling deploy), and ValueError
        for a stamp that no clock can have made.
        """
        document = orjson.loads(body)
        stamp = document.get("stamp") or stamp
        if not 0 <= stamp <= LARGEST_STAMP:
            raise ValueError(f"{stamp} is no stamp")
        return cls(
            id=UUID(document["id"]),
            command=_restore(document["type"], document["version"], document["payload"]),
            actor_id=UUID(document["actor"]) if document["actor"] else None,
            resource_id=UUID(document["resource"]),
            stamp=stamp,
            idempotency_key=document["key"],
            fingerprint=document["fingerprint"],
        )


@dataclass(frozen=True, slots=True)
class Stranger:
    """A command that this process does not know: all that can be done is to keep its place before later ones."""

    name: str
    version: int
    touches: set[str]
    commutes: bool

    @classmethod
    def decode(cls, body: bytes) -> "Stranger":
        document = orjson.loads(body)
        UUID(document["id"])
        touched = {document["resource"], document.get("aggregate", document["resource"])}
        return cls(document["type"], document["version"], touched, document.get("commutes", False))


class UnknownCommand(LookupError):
    """A command type or version, or a field of one, that this process has not been deployed with yet."""


class DuplicateRegistration(RuntimeError):
    """Two commands of one name and version, or two handlers for one command."""


_types: dict[tuple[str, int], CommandType] = {}
_by_class: dict[type, CommandType] = {}
_handlers: dict[type, Callable] = {}
_first: dict[type, Callable[[Envelope], Statement]] = {}


def command(resource: str, *, version: int = 1, aggregate: str | None = None, commutes: bool = False):
    """Declare a command class; it becomes a frozen dataclass."""

    def declare(cls: type) -> type:
        cls = dataclass(frozen=True, slots=True)(cls)
        _require_primitives(cls)
        declared = CommandType(cls, cls.__name__, version, resource, aggregate, commutes)
        if (declared.name, version) in _types:
            raise DuplicateRegistration(f"{declared.name} version {version} is declared twice")
        _types[declared.name, version] = _by_class[cls] = declared
        return cls

    return declare


def handles(cls: type, *, first: Callable[[Envelope], Statement] | None = None):
    """Declare the one handler of a command class: handler(envelopes, effects) applies a batch of that type.

    first: the statement with which it begins on each command, whose rows it gets by `effects.first_rows`. It is sent
    before anybody knows whether the command is a repeat; if it does more than look, it asks whether it IS_CLAIMED.
    """

    def declare(handler: Callable) -> Callable:
        if cls in _handlers:
            raise DuplicateRegistration(f"{cls.__name__} has two handlers")
        _handlers[cls] = handler
        if first:
            _first[cls] = first
        return handler

    return declare


def type_of(command: object) -> CommandType:
    return _by_class[type(command)]


def all_types() -> list[CommandType]:
    return list(_types.values())


def handler_of(cls: type) -> Callable:
    return _handlers[cls]


def first_statement_of(cls: type) -> Callable[[Envelope], Statement] | None:
    return _first.get(cls)


def find(name: str, version: int) -> CommandType:
    try:
        return _types[name, version]
    except KeyError:
        raise UnknownCommand(f"{name} version {version}") from None


def _restore(name: str, version: int, payload: dict) -> object:
    known = find(name, version).cls
    fields = {field: tuple(value) if isinstance(value, list) else value for field, value in payload.items()}
    try:
        return known(**fields)
    except TypeError as error:
        raise UnknownCommand(f"{name} version {version}: {error}") from error


def check_handlers() -> None:
    """Refuse to start with a command that nobody handles."""
    unhandled = [declared.name for declared in _types.values() if declared.cls not in _handlers]
    if unhandled:
        raise RuntimeError(f"commands without a handler: {', '.join(unhandled)}")


def _require_primitives(cls: type) -> None:
    hints = get_type_hints(cls)
    wrong = [field.name for field in fields(cls) if hints[field.name] not in PRIMITIVES]
    if wrong:
        raise TypeError(f"{cls.__name__}: {', '.join(wrong)} must be one of str, int, bool, tuple[str, ...]")
