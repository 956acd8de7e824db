"""WSGI in front of Django's request cycle: answers plain public reads that the cache holds, and passes on the rest.

Half of what a hit costs in Django is its cycle: handlers, middleware, routing, signals. A hit needs none of it, as
long as the answer is the same to the last header; a test compares the two.
"""

import logging
from collections.abc import Callable, Iterator

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.middleware.security import SecurityMiddleware
from django.urls import URLPattern, get_resolver
from django.urls.resolvers import RoutePattern

from socialapp.cqrs.fragments import Fragment
from socialapp.cqrs.http.guard import is_ours, request_id
from socialapp.cqrs.http.reads import JSON, PublicRead, caching, not_modified, wants_plain_json
from socialapp.cqrs.problems import Problem

logger = logging.getLogger(__name__)

# Whoever sends one of these may be due another answer, or a header of their own.
PERSONAL = ("HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_CONSISTENCY_TOKEN")


class CacheHits:
    """Wraps a WSGI application of the read role."""

    def __init__(self, application: Callable):
        self._application = application
        self._routes = [(RoutePattern(route, is_endpoint=True), view()) for route, view in _public_routes()]
        self._security = _security_headers()

    def __call__(self, environ: dict, start_response: Callable):
        fragment = self._cached(environ) if _is_plain(environ) else None
        if fragment is None:
            return self._application(environ, start_response)
        etag = fragment.etag.decode()
        headers = [*caching(etag).items(), *self._security]
        headers += [("Consistency", "eventual"), ("X-Request-ID", request_id(environ))]
        if not_modified(environ, etag):
            start_response("304 Not Modified", headers)
            return []
        start_response("200 OK", [("Content-Type", JSON), ("Content-Length", str(len(fragment.body))), *headers])
        return [fragment.body]

    def _cached(self, environ: dict) -> Fragment | None:
        path = environ["PATH_INFO"][1:]
        for route, view in self._routes:
            match = route.match(path)
            if match and not match[0]:
                return _from_cache(view, environ, match[2])
        return None


def _from_cache(view: PublicRead, environ: dict, arguments: dict) -> Fragment | None:
    try:
        return view.cached(WSGIRequest(environ), **arguments)
    except Problem:
        # Django's cycle comes to the same end, and knows how to say it.
        return None
    except Exception:
        logger.exception("a hit could not be answered before Django's cycle")
        return None


def _is_plain(environ: dict) -> bool:
    return (
        environ["REQUEST_METHOD"] == "GET"
        and not any(name in environ for name in PERSONAL)
        and wants_plain_json(environ)
        and environ["PATH_INFO"].isascii()
        and is_ours(environ.get("HTTP_HOST", ""))
        and (not settings.SECURE_TRANSPORT or environ.get("HTTP_X_FORWARDED_PROTO") == "https")
    )


def _public_routes() -> Iterator[tuple[str, type[PublicRead]]]:
    for route, pattern in _endpoints(get_resolver().url_patterns):
        view = getattr(pattern.callback, "view_class", None)
        if view and issubclass(view, PublicRead):
            yield route, view


def _endpoints(patterns: list, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route, pattern
        else:
            yield from _endpoints(pattern.url_patterns, route)


def _security_headers() -> list[tuple[str, str]]:
    """What Django's middleware adds to each answer of this deployment."""
    request = HttpRequest()
    request.META = {"HTTP_X_FORWARDED_PROTO": "https"}
    response = SecurityMiddleware(lambda _: HttpResponse())(request)
    return [(name, value) for name, value in response.items() if name != "Content-Type"]
