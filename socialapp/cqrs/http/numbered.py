"""Private lists by page number: `page` and `limit` in; results, `total` and the URLs of both neighbours out.

What the cache holds is the same for all who may ask; URLs are put in when it is answered.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

import orjson
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import inline_serializer
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from socialapp.cqrs.cursors import invalid_parameter
from socialapp.cqrs.fragments import Fragment, NumberedPage, Pages
from socialapp.cqrs.http import pages, reads

# Rows that a database may have to walk past to get to a page.
FURTHEST = 10_000
PAGE = re.compile(r"[1-9][0-9]{0,5}")
# Its reader keeps it, and asks each time whether it still holds (a 304 is cheap); nobody in between does.
PRIVATE = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization, Cookie"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A page from 1 on. filters: the part of the query that says which list it is, `scope=all&`."""

    page: int
    limit: int
    filters: str

    def url_of(self, request: HttpRequest, page: int) -> str:
        limit = f"&limit={self.limit}" if self.limit != pages.DEFAULT_LIMIT else ""
        return f"{pages.place_of(request)}?{self.filters}page={page}{limit}"

    def next(self, total: int) -> int | None:
        done = self.page * self.limit
        return self.page + 1 if done < total and done <= FURTHEST else None

    def previous(self) -> int | None:
        return self.page - 1 if self.page > 1 else None


def asked_of(request: HttpRequest, filters: Sequence[str]) -> Asked:
    """Raises Problem for what is no page, and for one too far into the list."""
    limit, page = pages.limit_of(request), request.GET.get("page", "1")
    if not PAGE.fullmatch(page):
        raise invalid_parameter("page", "A whole number from 1.")
    if (int(page) - 1) * limit > FURTHEST:
        last = FURTHEST // limit + 1
        raise invalid_parameter(
            "page", f"A page begins at most {FURTHEST:,} elements into its list: {last} is the last."
        )
    return Asked(int(page), limit, pages.kept(request, filters))


class NumberedRead(GenericAPIView):
    """GET of a page that its readers alone may see. filters: names of the parameters that say which list it is."""

    permission_classes = [IsAuthenticated]
    filters: Sequence[str] = ()

    def list_of(self, user: object, request: HttpRequest) -> tuple[Pages, str]:
        """The kind and the identifier of the list that `user` is to see. Raises Problem."""
        raise NotImplementedError

    def dispatch(self, request, *args, **kwargs):
        is_read = request.method in ("GET", "HEAD") and "HTTP_AUTHORIZATION" in request.META
        if is_read and reads.wants_plain_json(request.META):
            return self.answer_plainly(request)
        return super().dispatch(request, *args, **kwargs)

    def answer_plainly(self, request: HttpRequest) -> HttpResponse:
        """Without DRF's dispatch, which costs more than all the rest of a hit."""
        try:
            fragment = self.fragment(reads.bearer(request), request)
        except Exception as error:
            return reads.refusal(error)
        return reads.plain_answer(request, fragment, _headers(fragment))

    def get(self, request):
        """For browsers: DRF negotiates, authenticates and renders."""
        fragment = self.fragment(request.user, request)
        headers = _headers(fragment)
        if reads.not_modified(request.META, headers["ETag"]):
            return HttpResponse(status=304, headers=headers)
        return Response(fragment.body, headers=headers)

    def fragment(self, user: object, request: HttpRequest) -> Fragment:
        asked = asked_of(request, self.filters)
        kind, identifier = self.list_of(user, request)
        return _joined(request, asked, kind.get(identifier, page=asked.page, limit=asked.limit))


def _joined(request: HttpRequest, asked: Asked, page: NumberedPage) -> Fragment:
    neighbours = {"next": asked.next(page.total), "previous": asked.previous()}
    links = {name: number and asked.url_of(request, number) for name, number in neighbours.items()}
    rest = orjson.dumps({"page": asked.page, "limit": asked.limit, "total": page.total} | links)
    etag = b'"%s"' % blake2b(page.digest + rest, digest_size=8).hexdigest().encode()
    return Fragment(etag, b'{"results":%s,%s' % (page.results, rest[1:]))


def _headers(fragment: Fragment) -> dict[str, str]:
    return {"ETag": fragment.etag.decode()} | PRIVATE


@cache
def numbered_page_of(element: type) -> serializers.Serializer:
    """The schema of such a page."""
    numbers = {name: serializers.IntegerField() for name in ("page", "limit", "total")}
    links = {name: serializers.URLField(allow_null=True) for name in ("next", "previous")}
    return inline_serializer(f"{element.__name__}NumberedPage", {"results": element(many=True)} | numbers | links)
