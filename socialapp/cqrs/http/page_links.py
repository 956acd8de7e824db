"""Links in the pages of the browsable API: from a member of a document to its thing, from a page to those below it."""

import re
from functools import cache

from django.http import HttpRequest
from django.urls import NoReverseMatch, get_resolver, reverse
from django.utils.html import urlize
from django.utils.safestring import SafeString, mark_safe

# A member whose value is a plain name, in indented JSON that is escaped. Inside a value, quotes have a backslash.
MEMBER = re.compile(r"^( *)&quot;(\w+)&quot;: &quot;([\w-]+)&quot;", re.MULTILINE)
# The indentation of the members of the document itself, and of the elements of its `results`.
TOP_LEVELS = (2, 6)


def linked(text: str, kind: str | None) -> SafeString:
    """Indented JSON as HTML. URLs become links, and names of things do: `post_id`, `username`, the `id` of a `kind`."""

    def link(found: re.Match) -> str:
        indentation, member, value = found.groups()
        parameter = f"{kind}_id" if member == "id" and len(indentation) in TOP_LEVELS else member
        href = _href(parameter, value)
        value = f'<a href="{href}">{value}</a>' if href else value
        return f"{indentation}&quot;{member}&quot;: &quot;{value}&quot;"

    return mark_safe(MEMBER.sub(link, urlize(text, nofollow=True, autoescape=True)))  # noqa: S308 urlize has escaped it


def below(request: HttpRequest) -> list[tuple[str, str]]:
    """(name, path) of the pages one step below this one: the comments and likes of a post."""
    match, here, found = request.resolver_match, f"{request.path}/", []
    for name, _, parameters in _routes():
        if set(parameters) == set(match.kwargs):
            path = reverse(name, kwargs=match.kwargs)
            step = path.removeprefix(here)
            if step != path and "/" not in step:
                found.append((step.capitalize(), path))
    return sorted(found)


def _href(parameter: str, value: str) -> str | None:
    route = _detail_routes().get(parameter)
    try:
        return reverse(route, args=[value]) if route else None
    except NoReverseMatch:
        return None


@cache
def _routes() -> list[tuple[str, str, tuple[str, ...]]]:
    """(name, path, parameters) of every named route, shortest path first."""
    reverses = get_resolver().reverse_dict
    found = [
        (name, path, tuple(parameters))
        for name in reverses
        if isinstance(name, str)
        for possibilities, *_ in reverses.getlist(name)
        for path, parameters in possibilities
    ]
    return sorted(found, key=lambda route: len(route[1]))


@cache
def _detail_routes() -> dict[str, str]:
    """Where one thing is found by its one parameter: {"post_id": "post", "username": "user"}."""
    found = {}
    for name, _, parameters in _routes():
        if len(parameters) == 1:
            found.setdefault(parameters[0], name)
    return found
