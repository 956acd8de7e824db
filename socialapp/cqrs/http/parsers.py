"""Strict request bodies: what a lenient parser would guess at, drop or replace is an error here.

Each parser is linear in the size of a body, and counts what the body is made of before it builds anything from it.
"""

import json
from io import BytesIO
from urllib.parse import unquote_to_bytes

import orjson
from django.conf import settings
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import ParseError, UnsupportedMediaType, ValidationError
from rest_framework.parsers import BaseParser, FormParser, MultiPartParser

# The largest body of the contract, an order of 100 lines, has 311 values in 3 levels.
MOST_VALUES = 2_000
DEEPEST = 32
# Signs of structure in the bytes of a body: an upper bound of its values that costs no parsing. They may also stand in
# a text, of which the longest has 5,000 characters.
MOST_SIGNS = 10_000
SIGNS = (b",", b"[", b"{", b":")
# A text of 5,000 characters has up to 20,000 in a form.
MOST_ESCAPES = 50_000


class StrictJSONParser(BaseParser):
    """Refuses what json.loads lets through or dies of: NaN, bad UTF-8, bottomless nesting, a field given twice."""

    media_type = "application/json"

    def parse(self, stream, media_type=None, parser_context=None):
        if "*" in media_type:
            raise UnsupportedMediaType(media_type)
        body = stream.read()
        _require_few(sum(map(body.count, SIGNS)), MOST_SIGNS, "commas, colons and brackets")
        try:
            parsed = orjson.loads(body)
            _require_small(parsed)
            # orjson keeps the last of two equal names; another reader of the same body may have seen the first.
            json.loads(body, object_pairs_hook=_require_unique)
        except (orjson.JSONDecodeError, RecursionError) as error:
            raise ParseError(f"The body is not JSON: {error}") from error
        return parsed


class StrictFormParser(FormParser):
    """UTF-8 only, and no replacement characters for what is not."""

    def parse(self, stream, media_type=None, parser_context=None):
        body = stream.read()
        _require_few(body.count(b"&"), settings.DATA_UPLOAD_MAX_NUMBER_FIELDS, "fields")
        _require_few(body.count(b"%"), MOST_ESCAPES, "escaped bytes")
        _require_utf8(unquote_to_bytes(body), media_type)
        return super().parse(BytesIO(body), media_type, parser_context | {"encoding": "utf-8"})


class StrictMultiPartParser(MultiPartParser):
    """The forms of the browsable API. Nothing takes files: uploads go to the object storage."""

    def parse(self, stream, media_type=None, parser_context=None):
        body = stream.read()
        boundary = _require_utf8(body, media_type).get("boundary", "")
        # Before the first part and after the last there is one boundary more than there are parts.
        _require_few(body.count(f"--{boundary}".encode()), settings.DATA_UPLOAD_MAX_NUMBER_FIELDS + 1, "parts")
        parsed = super().parse(BytesIO(body), media_type, parser_context | {"encoding": "utf-8"})
        if f"--{boundary}--".encode() not in body:
            raise ParseError("The form is cut off: its last boundary is missing.")
        return parsed


def _require_few(found: int, most: int, what: str) -> None:
    if found > most:
        raise ParseError(f"The body has {found:,} {what}, and at most {most:,} are read.")


def _require_small(parsed: object) -> None:
    """Raises ValidationError for more than MOST_VALUES values, names included, or for more than DEEPEST levels."""
    values, level = 0, [parsed]
    for _ in range(DEEPEST + 1):
        values += len(level)
        if values > MOST_VALUES:
            raise ValidationError([f"The body has more than {MOST_VALUES:,} values."], code="too_many_values")
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise ValidationError([f"The body is nested in more than {DEEPEST} levels."], code="too_deep")


def _inside(value: object) -> list:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _require_unique(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise ValidationError({name[:100]: ["This field is given twice."]}, code="duplicate_field")
        seen.add(name)


def _require_utf8(raw: bytes, media_type: str) -> dict[str, str]:
    """The parameters of the media type."""
    try:
        parameters = parse_header_parameters(media_type)[1]
        raw.decode()
    except ValueError as error:
        raise ParseError("The body is not UTF-8, or its Content-Type is malformed.") from error
    if parameters.get("charset", "utf-8").lower() != "utf-8":
        raise UnsupportedMediaType(media_type, "Forms are read as UTF-8.")
    return parameters
