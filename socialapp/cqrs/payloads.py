"""Is a JSON document the payload of a command? Asked where it comes from a person, and not through a view's schema."""

from dataclasses import MISSING, Field, fields
from itertools import islice
from typing import get_type_hints

import orjson

from socialapp.cqrs.commands import CommandType
from socialapp.cqrs.problems import Invalid

# Characters. The text of a post takes 60,000 at most, if all of it is escaped.
LONGEST = 100_000
# A payload of nothing but unknown names gets no answer that is many times its size.
MOST_ERRORS = 20


def parse(declared: CommandType, text: str) -> dict:
    """The payload as a document. Raises Invalid, whose errors name the fields."""
    if len(text) > LONGEST:
        raise Invalid(f"A payload may have {LONGEST:,} characters.")
    try:
        payload = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"This is not JSON: {error}.") from error
    if not isinstance(payload, dict):
        raise Invalid("A payload is a JSON object.")
    errors = list(islice(_errors(declared, payload), MOST_ERRORS))
    if errors:
        raise Invalid(" ".join(f"{error['field']}: {error['message']}" for error in errors), errors=errors)
    return payload


def _errors(declared: CommandType, payload: dict):
    known = {field.name: field for field in fields(declared.cls)}
    for name in payload.keys() - known.keys():
        yield _error(name, "unknown", f"{declared.name} has no such field.")
    hints = get_type_hints(declared.cls)
    for name, field in known.items():
        if name in payload:
            yield from _errors_of_value(name, payload[name], hints[name])
        elif _is_required(field):
            yield _error(name, "required", "This field is missing.")


def _errors_of_value(name: str, value: object, hint: object):
    if not _fits(value, hint):
        spelled = hint.__name__ if isinstance(hint, type) and hint is not tuple[str, ...] else str(hint)
        yield _error(name, "type", f"This is not of type {spelled}.")
    elif "\x00" in "".join(_texts(value)):
        yield _error(name, "null_character", "Null characters are not allowed.")


def _fits(value: object, hint: object) -> bool:
    if hint == tuple[str, ...]:
        return isinstance(value, list) and all(isinstance(part, str) for part in value)
    # In Python a bool is an int.
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _texts(value: object) -> list[str]:
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]


def _is_required(field: Field) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _error(name: str, code: str, message: str) -> dict:
    return {"field": name, "code": code, "message": message}
