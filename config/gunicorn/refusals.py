"""What gunicorn refuses before any view is asked is a problem document (RFC 9457) too, not a page."""

import json
from http import HTTPStatus

from gunicorn import util

CODES = {
    400: "bad_request",
    414: "uri_too_long",
    417: "expectation_failed",
    431: "header_too_large",
    500: "internal",
    501: "not_implemented",
}


def write_problem(sock, status: int, reason: str, message: str) -> None:  # noqa: ARG001 gunicorn's own signature
    """Takes the place of gunicorn.util.write_error. What the client sent is not repeated."""
    code, title = CODES.get(status, "bad_request"), HTTPStatus(status).phrase
    detail = "The error was logged." if status == 500 else "The request is not valid HTTP, or too long."
    document = {"type": f"urn:socialapp:problem:{code}", "title": title, "status": status, "detail": detail}
    body = json.dumps(document | {"code": code}).encode()
    head = (
        f"HTTP/1.1 {status} {title}\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
        f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode() + body)
