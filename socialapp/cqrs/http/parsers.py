"""Strict request bodies: what a lenient parser would guess at, drop or replace is an error here."""

import json
from io import BytesIO
from urllib.parse import unquote_to_bytes

import orjson
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import ParseError, UnsupportedMediaType, ValidationError
from rest_framework.parsers import BaseParser, FormParser, MultiPartParser


class StrictJSONParser(BaseParser):
    """Refuses what json.loads lets through or dies of: NaN, bad UTF-8, bottomless nesting, a field given twice."""

    media_type = "application/json"

    def parse(self, stream, media_type=None, parser_context=None):
        if "*" in media_type:
            raise UnsupportedMediaType(media_type)
        body = stream.read()
        try:
            parsed = orjson.loads(body)
            # orjson keeps the last of two equal names; another reader of the same body may have seen the first.
            json.loads(body, object_pairs_hook=_require_unique)
        except (orjson.JSONDecodeError, RecursionError) as error:
            raise ParseError(f"The body is not JSON: {error}") from error
        return parsed


class StrictFormParser(FormParser):
    """UTF-8 only, and no replacement characters for what is not."""

    def parse(self, stream, media_type=None, parser_context=None):
        body = stream.read()
        _require_utf8(unquote_to_bytes(body), media_type)
        return super().parse(BytesIO(body), media_type, parser_context | {"encoding": "utf-8"})


class StrictMultiPartParser(MultiPartParser):
    """The forms of the browsable API. Nothing takes files: uploads go to the object storage."""

    def parse(self, stream, media_type=None, parser_context=None):
        body = stream.read()
        _require_utf8(body, media_type)
        parsed = super().parse(BytesIO(body), media_type, parser_context | {"encoding": "utf-8"})
        boundary = parse_header_parameters(media_type)[1]["boundary"]
        if f"--{boundary}--".encode() not in body:
            raise ParseError("The form is cut off: its last boundary is missing.")
        return parsed


def _require_unique(pairs: list[tuple[str, object]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValidationError({repeated[:100]: ["This field is given twice."]}, code="duplicate_field")


def _require_utf8(raw: bytes, media_type: str) -> None:
    try:
        charset = parse_header_parameters(media_type)[1].get("charset", "utf-8")
        raw.decode()
    except ValueError as error:
        raise ParseError("The body is not UTF-8, or its Content-Type is malformed.") from error
    if charset.lower() != "utf-8":
        raise UnsupportedMediaType(media_type, "Forms are read as UTF-8.")
