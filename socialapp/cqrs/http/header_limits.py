"""WSGI in front of everything: refuses headers whose parsers in Python or Django are quadratic, by their length."""

from collections.abc import Callable

from django.http import HttpResponse

from socialapp.cqrs.http.guard import request_id
from socialapp.cqrs.http.problems import to_http
from socialapp.cqrs.problems import Problem

# Characters. Django takes 75 ms to parse 8 KB of either with a quote that is never closed. Browsers send 80 and 160.
LONGEST_CONTENT_TYPE = 256
LONGEST_ACCEPT = 1024
# http.cookies unquotes them one by one (CVE-2024-7592): 8 KB take 130 ms. A cookie of ours has none (RFC 6265).
MOST_BACKSLASHES = 64


class HeaderTooLarge(Problem):
    status, code, title = 431, "header_too_large", "A header is too large"


class UnreadMediaType(Problem):
    status, code, title = 415, "unsupported_media_type", "Unsupported Media Type"


class HeaderLimits:
    """Wraps a WSGI application."""

    def __init__(self, application: Callable):
        self._application = application

    def __call__(self, environ: dict, start_response: Callable):
        problem = refusal(environ)
        if problem is None:
            return self._application(environ, start_response)
        return _send(to_http(problem), environ, start_response)


def refusal(environ: dict) -> Problem | None:
    if len(environ.get("CONTENT_TYPE", "")) > LONGEST_CONTENT_TYPE:
        return UnreadMediaType(f"A Content-Type of more than {LONGEST_CONTENT_TYPE} characters is not read.")
    if len(environ.get("HTTP_ACCEPT", "")) > LONGEST_ACCEPT:
        return HeaderTooLarge(f"Accept may have {LONGEST_ACCEPT} characters.")
    if environ.get("HTTP_COOKIE", "").count("\\") > MOST_BACKSLASHES:
        return HeaderTooLarge(f"Cookie may have {MOST_BACKSLASHES} backslashes.")
    return None


def _send(response: HttpResponse, environ: dict, start_response: Callable) -> list[bytes]:
    headers = [*response.items(), ("X-Request-ID", request_id(environ)), ("Content-Length", str(len(response.content)))]
    start_response(f"{response.status_code} {response.reason_phrase}", headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.content]
