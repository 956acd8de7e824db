"""Keyset pages: `limit` and an opaque `cursor` in, the URL of the next page out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from django.http import HttpRequest
from django.utils.encoding import escape_uri_path
from django.utils.http import urlencode

from socialapp.cqrs.cursors import LONGEST, invalid_parameter

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 100
LIMIT = re.compile(r"[0-9]{1,3}")
CURSOR = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST}}}")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """filters: the part of the query that says which list it is, `category=shoes&`; the next page needs it, too."""

    limit: int
    cursor: str | None
    filters: str = ""

    def url_of_next(self, request: HttpRequest, cursor: str | None) -> bytes:
        """JSON: the URL of the next page, or null."""
        if cursor is None:
            return b"null"
        # A cursor needs no quoting.
        limit = f"limit={self.limit}&" if self.limit != DEFAULT_LIMIT else ""
        return orjson.dumps(f"{place_of(request)}?{self.filters}{limit}cursor={cursor}")


def page_request(request: HttpRequest, filters: Sequence[str] = ()) -> PageRequest:
    """Raises Problem for a limit that is no number from 1 to 100. The list itself checks its cursor.

    filters: names of parameters that say which list it is.
    """
    if not request.META["QUERY_STRING"]:
        return PageRequest(DEFAULT_LIMIT, None)
    limit = limit_of(request)
    cursor = request.GET.get("cursor") or None
    # Before the cache is asked: it remembers for seconds what it was asked for.
    if cursor and not CURSOR.fullmatch(cursor):
        raise invalid_parameter("cursor", "Use the `next` of the page before.")
    return PageRequest(limit, cursor, kept(request, filters))


def limit_of(request: HttpRequest) -> int:
    """Raises Problem for what is no number from 1 to 100."""
    limit = request.GET.get("limit", str(DEFAULT_LIMIT))
    if not LIMIT.fullmatch(limit) or not 1 <= int(limit) <= LARGEST_LIMIT:
        raise invalid_parameter("limit", f"A whole number from 1 to {LARGEST_LIMIT}.")
    return int(limit)


def kept(request: HttpRequest, filters: Sequence[str]) -> str:
    """The part of a query that says which list it is."""
    asked = {name: request.GET[name] for name in filters if request.GET.get(name)}
    return f"{urlencode(asked)}&" if asked else ""


def place_of(request: HttpRequest) -> str:
    """The URL without its query; build_absolute_uri would take it apart to put it together again."""
    return f"{request.scheme}://{request.get_host()}{escape_uri_path(request.path)}"
