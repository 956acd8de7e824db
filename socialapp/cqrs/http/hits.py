"""WSGI in front of Django's request cycle: answers plain public reads that the cache holds, and passes on the rest.

Half of what a hit costs in Django is its cycle: handlers, middleware, routing, signals. A hit needs none of it, as
long as the answer is the same to the last header; a test compares the two.
"""

import logging
from collections.abc import Callable

from django.core.handlers.wsgi import WSGIRequest

from socialapp.cqrs.fragments import Fragment
from socialapp.cqrs.http import front
from socialapp.cqrs.http.guard import request_id
from socialapp.cqrs.http.reads import JSON, PublicRead, caching, not_modified
from socialapp.cqrs.problems import Problem

logger = logging.getLogger(__name__)

# Whoever sends one of these may be due another answer, or a header of their own.
PERSONAL = ("HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_CONSISTENCY_TOKEN")


class CacheHits:
    """Wraps a WSGI application of the read role."""

    def __init__(self, application: Callable):
        self._application = application
        self._routes = front.Routes(PublicRead)
        self._security = front.headers_of("django.middleware.security.SecurityMiddleware")

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
        found = self._routes.find(environ["PATH_INFO"])
        return _from_cache(found[0](), environ, found[1]) if found else None


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
        environ["REQUEST_METHOD"] == "GET" and not any(name in environ for name in PERSONAL) and front.is_plain(environ)
    )
