"""Reads of the shop. The catalogue is public and shared, addresses are their owners'."""

import re
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response

from orders import fragments, queries
from orders.api.schemas import AddressAnswer, AddressesAnswer, CategoriesAnswer, ProductAnswer
from orders.money import amount
from orders.queries import Wanted
from socialapp.cqrs.concurrency import Limit, Overloaded
from socialapp.cqrs.cursors import decode_cursor, invalid_parameter
from socialapp.cqrs.fragments import Page
from socialapp.cqrs.http.pages import page_request
from socialapp.cqrs.http.reads import EntityRead, ListRead, page_of
from socialapp.cqrs.problems import Invalid, NotFound
from socialapp.cqrs.routing import read_with
from socialapp.cqrs.timeouts import OutOfTime, within

LONGEST_WORDS = 200
# Seconds of a database; others wait meanwhile.
LONGEST_SEARCH = 1.0
# Lists that no cache has: by words or prices. Each may take a core of a database for LONGEST_SEARCH.
searches = Limit(settings.MOST_SEARCHES, "searches")
PATH = re.compile(r"[A-Za-z0-9_-]{1,50}(/[A-Za-z0-9_-]{1,50}){0,9}")
FILTERS = [
    OpenApiParameter("category", str, description="the path of a category: what is in it and below it"),
    OpenApiParameter("min_price", str, description='e.g. "12.50"'),
    OpenApiParameter("max_price", str),
    OpenApiParameter("q", str, description='words of name, description and SKU; "a phrase", -without'),
]
PRIVATE = {"Cache-Control": "private, no-store"}
PAGE = [OpenApiParameter("limit", int), OpenApiParameter("cursor", str, description="from the `next` before")]


class ReadProduct(EntityRead):
    entities = fragments.products

    @extend_schema(responses=ProductAnswer)
    def get(self, request, **kwargs):
        return super().get(request, **kwargs)


class ReadCategories(EntityRead):
    entities = fragments.categories

    def identifier(self):
        return "all"

    @extend_schema(responses=CategoriesAnswer)
    def get(self, request, **kwargs):
        return super().get(request, **kwargs)


class ReadProducts(ListRead):
    """Categories come from the cache; what is searched for, or narrowed by price, from a database."""

    lists, entities = fragments.products_of_category, fragments.products
    filters = ("category", "min_price", "max_price", "q")

    def fragment(self, request):
        wanted = wanted_of(request)
        if wanted.is_category:
            return super().fragment(request, path=wanted.path)
        asked = page_request(request, self.filters)
        before = decode_cursor(asked.cursor, self.lists.order)
        with searches.held():
            page = read_with(lambda using: search(wanted, asked.limit, before, using)).result
        return self._joined(request, asked, page, self.entities.get_existing(page.identifiers))

    def cached(self, request):
        wanted = wanted_of(request)
        return super().cached(request, path=wanted.path) if wanted.is_category else None

    def identifier(self, path):
        return f"/{path}"

    @extend_schema(parameters=[*FILTERS, *PAGE], responses=page_of(ProductAnswer))
    def get(self, request, **kwargs):
        return super().get(request, **kwargs)


def search(wanted: Wanted, limit: int, before: UUID | None, using: str) -> Page:
    """Raises Problem for words that leave out and find nothing, and Overloaded after LONGEST_SEARCH."""
    try:
        with within(LONGEST_SEARCH, using):
            if wanted.words and not queries.has_a_word_to_find(wanted.words, using):
                raise invalid_parameter("q", "Name a word that is to be found; a minus only leaves out.")
            return fragments.page(wanted, limit, before, using)
    except OutOfTime as error:
        raise Overloaded("The search took too long. Narrow it, or send it again later.") from error


def wanted_of(request: HttpRequest) -> Wanted:
    """Raises Problem for a filter that makes no sense."""
    if not request.META["QUERY_STRING"]:
        return Wanted()
    words = request.GET.get("q", "").strip()
    if len(words) > LONGEST_WORDS or "\0" in words:
        raise invalid_parameter("q", f"At most {LONGEST_WORDS} characters.")
    path = request.GET.get("category", "")
    if path and not PATH.fullmatch(path):
        raise invalid_parameter("category", "The path of a category, as `GET /categories` shows it.")
    return Wanted(path, _price(request, "min_price"), _price(request, "max_price"), words)


def _price(request: HttpRequest, name: str) -> Decimal | None:
    text = request.GET.get(name)
    if not text:
        return None
    try:
        return amount(text)
    except Invalid as error:
        raise invalid_parameter(name, error.detail) from error


class PrivateRead(GenericAPIView):
    """GET of what is one user's own; nobody keeps it."""

    permission_classes = [IsAuthenticated]

    def private(self, document: dict) -> Response:
        return Response(document, headers=PRIVATE)


class ReadAddresses(PrivateRead):
    # Whose `id` a page makes a link of.
    kind = "address"

    @extend_schema(operation_id="addresses_list", responses=AddressesAnswer)
    def get(self, request):
        found = read_with(lambda using: queries.list_addresses(request.user.pk, using)).result
        return self.private({"results": found, "next": None})


class ReadAddress(PrivateRead):
    @extend_schema(responses=AddressAnswer)
    def get(self, request, address_id):
        return self.private(own_address(request.user.pk, address_id))


def own_address(user_id: UUID, address_id: UUID) -> dict:
    """Raises NotFound, also for somebody else's."""
    found = read_with(lambda using: queries.get_address(user_id, address_id, using)).result
    if found is None:
        raise NotFound("You have no such address.")
    return found
