"""The worst inputs of what reads requests.

Regular expressions of modules and fields of request bodies are found by themselves; everything else has a line in
`named`, `in_bodies` or `in_headers`.
"""

import importlib
import inspect
import json
import pkgutil
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from io import BytesIO

from django.core.handlers.wsgi import WSGIRequest
from django.http import QueryDict
from django.utils.html import escape
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

import orders
import posts
import socialapp
from orders import admin_csv
from orders.api.read import wanted_of
from orders.api.read_history import time_of
from orders.money import amount
from posts.api.read import _uuids
from posts.handlers.posts import hashtags_of
from socialapp.cqrs import payloads
from socialapp.cqrs.commands import find
from socialapp.cqrs.cursors import decode_cursor
from socialapp.cqrs.fragments import version_of
from socialapp.cqrs.http import header_limits, page_links, token_cookies
from socialapp.cqrs.http.pages import page_request
from socialapp.cqrs.http.parsers import StrictFormParser, StrictJSONParser, StrictMultiPartParser
from socialapp.cqrs.http.preferences import wait_preference
from socialapp.cqrs.http.reads import not_modified
from socialapp.cqrs.http.renderers import BrowsableRenderer, BytesJSONRenderer
from socialapp.cqrs.http.schemas import Schema
from socialapp.identity.signing import verify_access
from socialapp.tests.cost.measure import Case

# Bytes. A body may have 1 MiB; what is quadratic takes seconds for a quarter of it.
BODY = 256 * 1024
# Of one header, and of a request line.
HEADER = 8192
# More than any text that an expression reads.
TEXT = 64 * 1024
# Elements and members, of which a body has fewer.
ELEMENTS = 1024
FORM, PARTS = "application/x-www-form-urlencoded", "multipart/form-data; boundary=xx"
# Repeated to any length.
PUMPS = [
    " ", "a", "1", "-", "'", '"', "\\a", ",", ";", "/", "(", "#a", "a.", "=a;", "wait=1,", ", ", "é", "&quot;",
    'a/b;x="', "http://a.b/", "a@b.c ",
]  # fmt: skip
# Before a pump: what opens something that is never closed.
OPENINGS = ["", '"', 'a/b; x="']

Call = Callable[[object], object]


def texts(name: str, call: Call, largest: int) -> Iterator[Case]:
    for opening in OPENINGS:
        for pump in PUMPS:
            yield Case(f"{name} {opening!r} {pump!r}", _repeated(opening, pump), call, largest)


def _repeated(opening: str, pump: str) -> Callable[[int], str]:
    # The end fits nothing, so that an expression tries everything else before it gives up.
    return lambda n: opening + pump * (n // len(pump)) + "\x7f"


# ---- found by themselves ----


def of_expressions() -> Iterator[Case]:
    for name, call in expressions():
        yield from texts(name, call, TEXT)


def expressions() -> Iterator[tuple[str, Call]]:
    """Each as its module uses it: at the beginning of a text, or anywhere in it."""
    for package in (socialapp, posts, orders):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".tests" in found.name or ".migrations" in found.name or ".kafka" in found.name:
                continue
            module = importlib.import_module(found.name)
            for name, value in vars(module).items():
                if isinstance(value, re.Pattern):
                    anywhere = re.search(rf"\b{name}\.(search|sub|split|find)", inspect.getsource(module))
                    yield f"{found.name}.{name}", value.search if anywhere else value.match


def of_fields() -> Iterator[Case]:
    for schema in sorted(schemas(), key=lambda schema: schema.__qualname__):
        for field in schema().fields:
            yield Case(f"{schema.__name__}.{field}: text", _body(field, "x"), _checked(schema), TEXT)
            yield Case(f"{schema.__name__}.{field}: spaces", _body(field, " "), _checked(schema), TEXT)
            yield Case(f"{schema.__name__}.{field}: signs", _body(field, "a@b."), _checked(schema), TEXT)
            yield Case(f"{schema.__name__}.{field}: digits", _body(field, "9"), _checked(schema), TEXT)
            yield Case(f"{schema.__name__}.{field}: list", lambda n, f=field: {f: [{}] * n}, _checked(schema), ELEMENTS)
        yield Case(f"{schema.__name__}: unknown fields", _unknown, _checked(schema), ELEMENTS)


def schemas(base: type = Schema) -> set[type]:
    found = set(base.__subclasses__())
    return found.union(*map(schemas, found)) if found else found


def _body(field: str, pump: str) -> Callable[[int], dict]:
    return lambda n: {field: pump * (n // len(pump))}


def _unknown(n: int) -> dict:
    return {f"field{number}": number for number in range(n)}


def _checked(schema: type) -> Call:
    return lambda body: schema(data=body).is_valid()


# ---- bodies ----


def in_bodies() -> Iterator[Case]:
    for name, make in JSON.items():
        yield Case(f"JSON: {name}", make, _parse(StrictJSONParser, "application/json"), BODY)
    for name, make in FORMS.items():
        yield Case(f"form: {name}", make, _parse(StrictFormParser, FORM), BODY)
    for name, make in MULTIPART.items():
        yield Case(f"multipart: {name}", make, _parse(StrictMultiPartParser, PARTS), BODY)
    for name, make in CSV.items():
        yield Case(f"CSV: {name}", make, admin_csv._check, BODY)
    edit = find("EditPost", 1)
    for name in ("names", "lists", "a text"):
        yield Case(f"payload: {name}", lambda n, m=JSON[name]: m(n).decode(), lambda t: payloads.parse(edit, t), BODY)


def parsers() -> set[type[BaseParser]]:
    """Those that have cases above."""
    return {StrictJSONParser, StrictFormParser, StrictMultiPartParser}


def _names(n: int, *more: str) -> bytes:
    members = [f'"{number:x}":0' for number in range(n // 8)]
    return f"{{{','.join([*members, *more])}}}".encode()


JSON = {
    "names": _names,
    "names, the last one twice": lambda n: _names(n, '"0":0'),
    "names, all the same": lambda n: b'{"a":1' + b',"a":1' * (n // 6) + b"}",
    "as many names as are read": lambda n: b"[" + b",".join([_names(16_000, '"0":0')] * (n // 16_000 + 1)) + b"]",
    "lists": lambda n: b"[" * (n // 2) + b"]" * (n // 2),
    "objects": lambda n: b'{"a":' * (n // 6) + b"1" + b"}" * (n // 6),
    "numbers": lambda n: b"[" + b"1," * (n // 2) + b"1]",
    "a number": lambda n: b"9" * n,
    "a fraction": lambda n: b"0." + b"9" * n,
    "a text": lambda n: b'{"text":"' + b"x" * n + b'"}',
    "escapes": lambda n: b'"' + b"\\u00e9" * (n // 6) + b'"',
    "backslashes": lambda n: b'"' + b"\\\\" * (n // 2) + b'"',
    "spaces": lambda n: b" " * n + b"1",
    "a text without an end": lambda n: b'"' + b"\\" * n,
    "a long name": lambda n: b'{"' + b"x" * n + b'":1,"x":2}',
}
FORMS = {
    "fields": lambda n: b"&".join(b"%x=1" % number for number in range(n // 7)),
    "empty fields": lambda n: b"&" * n,
    "one field": lambda n: b"text=" + b"x" * n,
    "escapes": lambda n: b"text=" + b"%41" * (n // 3),
    "broken escapes": lambda n: b"text=" + b"%" * n,
    "pluses": lambda n: b"text=" + b"+" * n,
    "equal signs": lambda n: b"=" * n,
}
PART = b'--xx\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
MULTIPART = {
    "parts": lambda n: PART % (b"a", b"1") * (n // 60) + b"--xx--\r\n",
    "files": lambda n: PART % (b'a"; filename="b', b"1") * (n // 75) + b"--xx--\r\n",
    "one part": lambda n: PART % (b"a", b"x" * n) + b"--xx--\r\n",
    "no boundary": lambda n: b"x" * n,
    "no end": lambda n: PART % (b"a", b"x" * n),
    "nearly boundaries": lambda n: PART % (b"a", b"\r\n--x" * (n // 5)) + b"--xx--\r\n",
    "line ends": lambda n: PART % (b"a", b"\r\n" * (n // 2)) + b"--xx--\r\n",
    "dashes": lambda n: PART % (b"a", b"-" * n) + b"--xx--\r\n",
    "a long header": lambda n: PART % (b"x" * n, b"1") + b"--xx--\r\n",
    "a header of signs": lambda n: PART % (b'a"; b="' + b";" * n, b"1") + b"--xx--\r\n",
    "base64": lambda n: _encoded(b"QUJD" * (n // 4)),
    "base64 with spaces": lambda n: _encoded(b" " * n + b"QUJD"),
}
CSV = {
    "rows": lambda n: b"sku\n" + b"a\n" * (n // 2),
    "empty rows": lambda n: b"sku\n" + b"\n" * n,
    "columns": lambda n: b"sku" + b",a" * (n // 2),
    "cells": lambda n: b"sku,name\n" + b"," * n,
    "quotes": lambda n: b"sku,name\n" + b'"",' * (n // 3),
    "a quote that is not closed": lambda n: b'sku,name\na,"' + b"x\n" * (n // 2),
    "NUL": lambda n: b"sku,name\na," + b"\0" * n,
}


def _encoded(content: bytes) -> bytes:
    return (PART % (b'a"\r\nContent-Transfer-Encoding: base64\r\nX: "', content)) + b"--xx--\r\n"


def _parse(parser: type[BaseParser], media_type: str) -> Call:
    def call(body: bytes) -> object:
        request = WSGIRequest(environ(CONTENT_TYPE=media_type, CONTENT_LENGTH=str(len(body))))
        return parser().parse(BytesIO(body), media_type, {"request": Request(request)})

    return call


# ---- headers and request lines ----


def environ(**more: str) -> dict:
    base = {"REQUEST_METHOD": "POST", "PATH_INFO": "/", "QUERY_STRING": "", "SERVER_NAME": "a", "SERVER_PORT": "80"}
    return base | {"wsgi.input": BytesIO(), "wsgi.url_scheme": "http"} | more


def in_headers() -> Iterator[Case]:
    for header, read in HEADERS.items():
        yield from texts(header, _with_header(header, read), HEADER)


def _negotiate(request: WSGIRequest) -> None:
    DefaultContentNegotiation().select_renderer(Request(request), [BytesJSONRenderer, BrowsableRenderer])


HEADERS: dict[str, Callable[[WSGIRequest], object]] = {
    "CONTENT_TYPE": lambda request: request.content_params,
    "HTTP_ACCEPT": _negotiate,
    "HTTP_COOKIE": token_cookies.presented,
    "HTTP_PREFER": wait_preference,
    "HTTP_IF_NONE_MATCH": lambda request: not_modified(request.META, '"1"'),
    "HTTP_IF_MATCH": lambda request: version_of(request.META["HTTP_IF_MATCH"]),
    "HTTP_CONSISTENCY_TOKEN": token_cookies.presented,
    "HTTP_AUTHORIZATION": lambda request: verify_access(request.META["HTTP_AUTHORIZATION"]),
    "HTTP_HOST": lambda request: request.get_host(),
    "QUERY_STRING": lambda request: [page_request(request), wanted_of(request)],
}


def _with_header(header: str, read: Callable[[WSGIRequest], object]) -> Call:
    def call(value: str) -> object:
        sent = environ(**{header: value})
        if problem := header_limits.refusal(sent):
            raise problem
        return read(WSGIRequest(sent))

    return call


def named() -> Iterator[Case]:
    yield from texts("hashtags", hashtags_of, TEXT)
    yield from texts("page links", lambda text: page_links.linked(escape(json.dumps({"text": text})), "post"), TEXT)
    yield from texts("amount", amount, TEXT)
    yield from texts("at", time_of, HEADER)
    yield from texts("post_ids", _uuids, HEADER)
    yield from texts("cursor", lambda text: decode_cursor(text, int), HEADER)
    yield from texts("query", lambda text: QueryDict(text), HEADER)
    yield Case("JWT: nested", _nested_token, verify_access, HEADER)


def _nested_token(n: int) -> str:
    return urlsafe_b64encode(b"[" * (n // 2)).decode() + ".e30.e30"
