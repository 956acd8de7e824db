"""WSGI in front of Django's request cycle: takes programs' commands to their views, and passes on the rest.

Sessions, forms and negotiation are the larger part of what accepting a write costs. A program that shows an access
token and sends JSON needs none of them, as long as the answer is the same to the last header; a test compares the two.
"""

import logging
from collections.abc import Callable

from django.db import close_old_connections
from django.http import HttpResponse
from rest_framework.response import Response

from socialapp.cqrs import fencing
from socialapp.cqrs.consistency import BadToken
from socialapp.cqrs.http import front, token_cookies
from socialapp.cqrs.http.guard import LARGEST_BODY, request_id
from socialapp.cqrs.http.plain import PlainRequest
from socialapp.cqrs.http.problems import server_error
from socialapp.cqrs.http.reads import JSON
from socialapp.cqrs.http.writes import CommandView

logger = logging.getLogger(__name__)

METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# Whoever sends one of these wants something else than to be accepted, or is refused something.
UNUSUAL = ("HTTP_COOKIE", "HTTP_PREFER", "HTTP_ORIGIN", "HTTP_TRANSFER_ENCODING")
MIDDLEWARE = (
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
)


class PlainCommands:
    """Wraps a WSGI application of a role that may write."""

    def __init__(self, application: Callable):
        self._application = application
        self._routes = front.Routes(CommandView)
        self._headers = dict(front.headers_of(*MIDDLEWARE))

    def __call__(self, environ: dict, start_response: Callable):
        found = self._routes.find(environ["PATH_INFO"]) if _is_plain(environ) else None
        response = _answer(*found, PlainRequest(environ)) if found else None
        if response is None:
            return self._application(environ, start_response)
        own = {"X-Request-ID": request_id(environ), "Content-Length": str(len(response.content))}
        headers = self._headers | dict(response.items()) | own
        cookies = [("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values()]
        start_response(f"{response.status_code} {response.reason_phrase}", [*headers.items(), *cookies])
        return [response.content]


def _answer(view: type[CommandView], arguments: dict, request: PlainRequest) -> HttpResponse | None:
    """None when it is Django's to say that the view has no such method, or that a token is not one of ours."""
    if not hasattr(view, request.method.lower()):
        return None
    try:
        request.presented = token_cookies.presented(request)
    except BadToken:
        return None
    request.consistency_token = request.presented.token
    close_old_connections()
    try:
        asked = view()
        asked.setup(request, **arguments)
        response = asked.dispatch(request, **arguments)
        return response.render() if isinstance(response, Response) else response
    except Exception:
        # Never again through Django: the command may have been accepted.
        logger.exception("%s %s failed", request.method, request.path)
        return server_error(request)
    finally:
        close_old_connections()


def _is_plain(environ: dict) -> bool:
    return (
        environ["REQUEST_METHOD"] in METHODS
        and "HTTP_AUTHORIZATION" in environ
        and not any(name in environ for name in UNUSUAL)
        and _is_small_json(environ)
        and front.is_plain(environ)
        # The guard says why.
        and not fencing.refuses_writes()
    )


def _is_small_json(environ: dict) -> bool:
    length = environ.get("CONTENT_LENGTH") or "0"
    if len(length) > 9 or int(length) > LARGEST_BODY:
        return False
    return length == "0" or environ.get("CONTENT_TYPE") == JSON
