"""Read views: public bodies straight from fragments, with ETags; DRF only where a page or a form is wanted.

The hit path is one Valkey round trip: no parsing, no serializer, no ORM, and none of DRF's dispatch.
"""

from collections.abc import Callable, Sequence
from functools import cache
from hashlib import blake2b

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import AllowAny, IsAuthenticatedOrReadOnly
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from socialapp.cqrs import joined
from socialapp.cqrs.fragments import Entities, Fragment, Lists, Page
from socialapp.cqrs.http.pages import DEFAULT_LIMIT, LARGEST_LIMIT, PageRequest, page_request
from socialapp.cqrs.http.problems import to_http, to_problem

JSON = "application/json"
# Browsers and clients ask again each time (a 304 is cheap); the gateway answers for one second without asking.
PUBLIC = "public, no-cache"
GATEWAY_SECONDS = "1"
# The gateway may serve an old answer one second more while it fetches a new one, and 60 s when it cannot.
SURROGATE = "stale-while-revalidate=1, stale-if-error=60"


# A plain read, and a hit in front of Django's cycle, ask none of these: what they refuse would be shown.
UNASKED = (
    "authentication_classes", "get_authenticators", "perform_authentication",
    "get_permissions", "check_permissions", "check_object_permissions",
)  # fmt: skip
# Of DRF's permissions, those that let everybody read. One of ours says `admits_every_reader`.
OPEN = (AllowAny, IsAuthenticatedOrReadOnly)


class NotPublic(TypeError):
    """A view that answers everybody was told to ask who reads."""


def _asked_by(base: type) -> list[str]:
    """What a class asks of a reader, DRF's own classes apart. Also a mixin that comes too late to have an effect."""
    if base.__module__.startswith("rest_framework."):
        return []
    asked = [name for name in UNASKED if name in vars(base)]
    permissions = vars(base).get("permission_classes", ())
    return asked + [permission.__name__ for permission in permissions if not _admits_every_reader(permission)]


def _admits_every_reader(permission: type) -> bool:
    return permission in OPEN or getattr(permission, "admits_every_reader", False)


class PublicRead(GenericAPIView):
    """GET of something whose body is the same for every reader. Subclasses say which fragment it is.

    Whoever asks is answered, and shared caches keep the answer; so a subclass that asks for a permission or an
    authentication is refused when it is defined. What must be authorised extends another base.
    """

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        asking = [asked for base in cls.__mro__ if base is not PublicRead for asked in _asked_by(base)]
        if asking:
            raise NotPublic(
                f"{cls.__qualname__} is a PublicRead, which answers everybody and is kept by shared caches, so that "
                f"{', '.join(asking)} would be ignored. Extend GenericAPIView and answer `private, no-store`."
            )

    def get_permissions(self):
        """Everybody reads, unless a mixin of writes has permissions, which hold for its methods."""
        declared = self.permission_classes is not APIView.permission_classes
        return super().get_permissions() if declared else [IsAuthenticatedOrReadOnly()]

    def fragment(self, request: HttpRequest, **kwargs) -> Fragment:
        raise NotImplementedError

    def cached(self, request: HttpRequest, **kwargs) -> Fragment | None:
        """`fragment` if the cache alone can give it, else None."""
        raise NotImplementedError

    def dispatch(self, request, *args, **kwargs):
        if request.method in ("GET", "HEAD") and wants_plain_json(request.META):
            return self.answer_plainly(request, **kwargs)
        return super().dispatch(request, *args, **kwargs)

    def answer_plainly(self, request: HttpRequest, **kwargs) -> HttpResponse:
        """Without DRF's dispatch, which costs more than all the rest of a hit."""
        try:
            if "HTTP_AUTHORIZATION" in request.META:
                bearer(request)
            fragment = self.fragment(request, **kwargs)
        except Exception as error:
            return refusal(error)
        return plain_answer(request, fragment, caching(fragment.etag.decode()))

    def get(self, request, **kwargs):
        """For pages and forms: DRF negotiates, authenticates and renders."""
        fragment = self.fragment(request, **kwargs)
        headers = {"ETag": fragment.etag.decode(), "Vary": "Accept", "Cache-Control": "private, no-store"}
        return Response(fragment.body, headers=headers)


class EntityRead(PublicRead):
    """One entity; the URL's last argument is its identifier."""

    entities: Entities

    def identifier(self, **kwargs) -> str:
        (identifier,) = kwargs.values()
        return str(identifier)

    def fragment(self, request, **kwargs):
        return self.entities.get(self.identifier(**kwargs))

    def cached(self, request, **kwargs):
        found = self.entities.peek([self.identifier(**kwargs)])
        return found[0] if found else None


class ListRead(PublicRead):
    """A page of entities, newest first: {"results": [...], "next": url or null}.

    filters: names of the parameters that say which list it is.
    """

    lists: Lists
    entities: Entities
    filters: Sequence[str] = ()

    def identifier(self, **kwargs) -> str:
        """Which list; raises NotFound when what it belongs to does not exist."""
        raise NotImplementedError

    def fragment(self, request, **kwargs):
        asked = page_request(request, self.filters)
        page = self.lists.get(self.identifier(**kwargs), limit=asked.limit, cursor=asked.cursor)
        return self._joined(request, asked, page, self.entities.get_existing(page.identifiers))

    def cached(self, request, **kwargs):
        asked = page_request(request, self.filters)
        found = joined.peek(
            self.lists, self.entities, self.identifier(**kwargs), limit=asked.limit, cursor=asked.cursor
        )
        return None if found is None else self._joined(request, asked, *found)

    def _joined(self, request: HttpRequest, asked: PageRequest, page: Page, elements: Sequence[Fragment]) -> Fragment:
        following = asked.url_of_next(request, page.cursor)
        body = b'{"results":[%s],"next":%s}' % (b",".join(e.body for e in elements), following)
        names = b"".join(e.etag for e in elements) + following
        return Fragment(b'"%s"' % blake2b(names, digest_size=8).hexdigest().encode(), body)


def bearer(request: HttpRequest) -> object:
    """The user of a request with an Authorization header. Raises AuthenticationFailed."""
    user, _ = api_settings.DEFAULT_AUTHENTICATION_CLASSES[0]().authenticate(request)
    return user


def refusal(error: Exception) -> HttpResponse:
    """The problem document of an error; raises one that is nobody's refusal."""
    problem = to_problem(error)
    if problem is None:
        raise error
    return to_http(problem)


def plain_answer(request: HttpRequest, fragment: Fragment, headers: dict[str, str]) -> HttpResponse:
    """The fragment, or 304 when the client has it. headers: with its ETag."""
    if not_modified(request.META, headers["ETag"]):
        response = HttpResponse(status=304, headers=headers)
        del response["Content-Type"]
        return response
    headers = {"Content-Length": str(len(fragment.body))} | headers
    return HttpResponse(fragment.body, content_type=JSON, headers=headers)


def wants_plain_json(environ: dict) -> bool:
    accept = environ.get("HTTP_ACCEPT", "*/*")
    return (accept in ("*/*", JSON) or accept.startswith(JSON)) and "format=" not in environ["QUERY_STRING"]


def not_modified(environ: dict, etag: str) -> bool:
    known = environ.get("HTTP_IF_NONE_MATCH")
    return known is not None and any(tag.removeprefix("W/") in (etag, "*") for tag in parse_etags(known))


def caching(etag: str) -> dict[str, str]:
    """Headers of a public answer."""
    cdn = {"CDN-Cache-Control": f"public, max-age={settings.CDN_MAX_AGE}, {SURROGATE}"} if settings.CDN_MAX_AGE else {}
    return {
        "ETag": etag,
        "Vary": "Accept",
        # In this order: nginx stops reading at `no-cache` unless it has met its own header before.
        "X-Accel-Expires": GATEWAY_SECONDS,
        "Cache-Control": f"{PUBLIC}, {SURROGATE}",
        **cdn,
    }


@cache
def page_of(element: type) -> serializers.Serializer:
    """The schema of a page: {"results": [element], "next": url or null}. The same one for every list of `element`."""
    fields = {"results": element(many=True), "next": serializers.URLField(allow_null=True)}
    return inline_serializer(f"{element.__name__}Page", fields)


def paged(element: type) -> Callable:
    """Describe a list of `element` in the schema."""
    parameters = [
        OpenApiParameter("limit", int, description=f"1 to {LARGEST_LIMIT}, default {DEFAULT_LIMIT}"),
        OpenApiParameter("cursor", str, description="from the `next` of the page before"),
    ]
    return extend_schema(parameters=parameters, responses=page_of(element))
