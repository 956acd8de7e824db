"""What security staff may have to know, one JSON document per line, by the logger `socialapp.security`.

Never a password or a token. What clients send is shortened, and JSON escapes it: a line break makes no second line.
"""

import logging

import orjson
from django.http import HttpRequest

from socialapp.identity.addresses import client_address

logger = logging.getLogger("socialapp.security")

LONGEST = 64


def record(event: str, request: HttpRequest | None, **fields: object) -> None:
    """Write an event with the client's address and the request's path and id."""
    document = {"event": event, "address": _short(client_address(request))}
    if request is not None:
        document |= {"path": _short(request.path), "request_id": getattr(request, "request_id", None)}
    document |= {name: _short(str(value)) for name, value in fields.items()}
    logger.info("%s", orjson.dumps(document).decode())


def _short(text: str) -> str:
    # orjson refuses lone surrogates.
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
