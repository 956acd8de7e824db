"""Opaque cursors of keyset pages: the sort key of the last row that was shown."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from socialapp.cqrs.problems import Problem

LONGEST = 100


def encode_cursor(key: UUID | int) -> str:
    return urlsafe_b64encode(str(key).encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str | None, kind: type) -> UUID | int | None:
    """The key that `encode_cursor` was given, as UUID or int. Raises Problem for anything else."""
    if cursor is None:
        return None
    try:
        if len(cursor) > LONGEST:
            raise ValueError("longer than any cursor of ours")
        key = kind(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii"))
    except ValueError as error:
        raise invalid_parameter("cursor", "Use the `next` of the page before.") from error
    if isinstance(key, int) and not 0 <= key < 2**63:
        raise invalid_parameter("cursor", "Use the `next` of the page before.")
    return key


def invalid_parameter(field: str, message: str) -> Problem:
    errors = [{"field": field, "code": "invalid", "message": message}]
    return Problem(f"{field}: {message}", code="validation_error", title="The request is not valid", errors=errors)
