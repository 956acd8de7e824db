"""The outermost middleware: the role's guard, the body limit, the request's id, and the last resort for errors."""

import re
import secrets

from django.http import HttpRequest

from socialapp.cqrs import roles
from socialapp.cqrs.http.problems import to_http
from socialapp.cqrs.problems import Problem, TooLarge, WrongPool

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
LARGEST_BODY = 1024 * 1024
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")


def guard(get_response):
    """Refuse what this process's role must not do, before anything else looks at the request."""
    only_reads = not roles.may_write()

    def middleware(request: HttpRequest):
        request.request_id = _request_id(request)
        problem = _refusal(request, only_reads)
        response = to_http(problem) if problem else get_response(request)
        response["X-Request-ID"] = request.request_id
        return response

    return middleware


def _request_id(request: HttpRequest) -> str:
    sent = request.META.get("HTTP_X_REQUEST_ID", "")
    return sent if REQUEST_ID.fullmatch(sent) else secrets.token_hex(16)


def _refusal(request: HttpRequest, only_reads: bool) -> Problem | None:
    if request.method in SAFE:
        return None
    if only_reads:
        return WrongPool("Send writes to the gateway, or to a server of the write pool.")
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isdigit() and int(length) > LARGEST_BODY:
        return TooLarge("A body may have 1 MiB.")
    return None
