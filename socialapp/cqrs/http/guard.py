"""The outermost middleware: the role's guard, the limits of a request, its id, and Django's wordless 405."""

import re
import secrets
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.request import split_domain_port, validate_host

from socialapp.cqrs import fencing, roles
from socialapp.cqrs.http.problems import negotiated, to_http, unhandled
from socialapp.cqrs.problems import Problem, TooLarge, Unavailable, WrongPool

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
LARGEST_BODY = 1024 * 1024
# Operators upload files: Django puts them on disk as they come, and holds the rest of a form to its own 1 MiB.
LARGEST_UPLOAD = 32 * LARGEST_BODY
# The same as the gateway's, so that one id stands in the logs of both.
REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
# Load balancers ask for a server's health by its address.
FOR_ANY_HOST = ("/health", "/health/ready", "/metrics")
# Sessions begin, end and are used for operators' writes there; the gateway sends all of it to the write pool.
SESSION_PAGES = ("/admin/", "/auth/")


class UnknownHost(Problem):
    status, code, title = 400, "unknown_host", "Unknown host"


class LengthRequired(Problem):
    status, code, title = 411, "length_required", "Length required"


class MethodNotAllowed(Problem):
    status, code, title = 405, "method_not_allowed", "Method Not Allowed"


def guard(get_response):
    """Refuse what this process's role must not do, before anything else looks at the request."""
    only_reads = not roles.may_write()

    def middleware(request: HttpRequest):
        request.request_id = request_id(request.META)
        problem = _refusal(request, only_reads)
        response = to_http(problem) if problem else _worded(request, get_response(request))
        response["X-Request-ID"] = request.request_id
        return response

    middleware.process_exception = unhandled
    return middleware


def request_id(environ: dict) -> str:
    sent = environ.get("HTTP_X_REQUEST_ID", "")
    return sent if REQUEST_ID.fullmatch(sent) else secrets.token_hex(16)


def _refusal(request: HttpRequest, only_reads: bool) -> Problem | None:
    safe = request.method in SAFE
    if only_reads and (not safe or request.path.startswith(SESSION_PAGES)):
        return WrongPool("Send this to the gateway, or to a server of the write pool.")
    # Answers carry URLs: one that cannot be made must not be found out after the write.
    if request.path not in FOR_ANY_HOST and not is_ours(request.META.get("HTTP_HOST", "")):
        return UnknownHost("The Host header names no host of ours.")
    return None if safe else _refused_body(request) or _fenced()


def _refused_body(request: HttpRequest) -> Problem | None:
    if "HTTP_TRANSFER_ENCODING" in request.META:
        # Django would see an empty body. The gateway, which buffers bodies, sends their lengths.
        return LengthRequired("Send a Content-Length, or go through the gateway.")
    length = request.META.get("CONTENT_LENGTH") or "0"
    most = LARGEST_UPLOAD if request.path.startswith("/admin/") else LARGEST_BODY
    if len(length) > 9 or int(length) > most:
        return TooLarge(f"A body may have {most // LARGEST_BODY} MiB.")
    return None


def _fenced() -> Problem | None:
    if not fencing.refuses_writes():
        return None
    return Unavailable("Two databases take writes. Nothing was changed; an operator has to stop one of them.")


@lru_cache(maxsize=256)
def is_ours(host: str) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def _worded(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Django's own views answer 405 with an empty page."""
    if not isinstance(response, HttpResponseNotAllowed):
        return response
    return negotiated(request, MethodNotAllowed(headers={"Allow": response["Allow"]}))
