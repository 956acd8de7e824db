"""What answers in front of Django's request cycle have in common: routes, hosts and the headers of middleware."""

from collections.abc import Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, get_resolver
from django.urls.resolvers import RoutePattern
from django.utils.module_loading import import_string
from django.views import View

from socialapp.cqrs.http.guard import is_ours
from socialapp.cqrs.http.reads import wants_plain_json


class Routes:
    """The addresses of all views that extend `base`."""

    def __init__(self, base: type):
        self._routes = [(RoutePattern(route, is_endpoint=True), view) for route, view in _views(base)]

    def find(self, path: str) -> tuple[type, dict] | None:
        """(the view's class, its arguments)."""
        for route, view in self._routes:
            match = route.match(path[1:])
            if match and not match[0]:
                return view, match[2]
        return None


def is_plain(environ: dict) -> bool:
    """Whether JSON is wanted from a host of ours, in a way that Django would have nothing to say about."""
    return (
        wants_plain_json(environ)
        and environ["PATH_INFO"].isascii()
        and is_ours(environ.get("HTTP_HOST", ""))
        and (not settings.SECURE_TRANSPORT or environ.get("HTTP_X_FORWARDED_PROTO") == "https")
    )


def headers_of(*middleware: str) -> list[tuple[str, str]]:
    """What these add to each answer of this deployment."""
    request = HttpRequest()
    request.META = {"HTTP_X_FORWARDED_PROTO": "https"}
    answer: object = lambda _: HttpResponse()  # noqa: E731 the innermost get_response
    for name in middleware:
        answer = import_string(name)(answer)
    return [(name, value) for name, value in answer(request).items() if name != "Content-Type"]


def _views(base: type) -> Iterator[tuple[str, type[View]]]:
    for route, pattern in _endpoints(get_resolver().url_patterns):
        view = getattr(pattern.callback, "view_class", None)
        if view and issubclass(view, base):
            yield route, view


def _endpoints(patterns: list, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route, pattern
        else:
            yield from _endpoints(pattern.url_patterns, route)
