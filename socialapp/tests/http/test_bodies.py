"""Bodies that are no JSON, no form, too large, too deep, or not what the schema says."""

import json
from uuid import uuid4

import pytest

from socialapp.tests.client import Api
from socialapp.tests.http.checks import refused
from socialapp.tests.http.raw import HEAD, Wire

MIB = 1024 * 1024

NOT_JSON = {
    "garbage": b"garbage",
    "cut off": b'{"text": "a',
    "trailing": b'{"text": "a"} x',
    "comment": b'{"text": "a" /* why */}',
    "single quotes": b"{'text': 'a'}",
    "NaN": b'{"text": NaN}',
    "Infinity": b'{"text": -Infinity}',
    "a float out of range": b'{"text": 1e999}',
    "a number of 5000 digits": b'{"text": ' + b"9" * 5000 + b"}",
    "bad UTF-8": b'{"text": "\xff\xfe"}',
    "an overlong encoding": b'{"text": "\xc0\xaf"}',
    "UTF-16": '{"text": "a"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"text": "a"}',
    "a lone surrogate": b'{"text": "\\ud800"}',
    "a lone surrogate as a name": b'{"\\udfff": 1}',
    "a surrogate in UTF-8": b'{"text": "\xed\xa0\x80"}',
    "a control character": b'{"text": "\x01"}',
    "NUL bytes": b"\x00" * 100,
    "bottomless lists": b"[" * 100_000,
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "40,000 names, one of them twice": b"{" + b",".join(b'"%x":0' % (n % 39_999) for n in range(40_000)) + b"}",
}

NOT_THE_SCHEMA = {
    "nothing": b"",
    "null": b"null",
    "a number": b"1",
    "a string": b'"text"',
    "a list": b"[]",
    "a list of bodies": b'[{"text": "a"}]',
    "empty": b"{}",
    "a number as text": b'{"text": 5}',
    "a float as text": b'{"text": 5.5}',
    "true as text": b'{"text": true}',
    "null as text": b'{"text": null}',
    "a list as text": b'{"text": ["a"]}',
    "an object as text": b'{"text": {"a": "b"}}',
    "a deep list as text": b'{"text": ' + b"[" * 900 + b"]" * 900 + b"}",
    "blank text": b'{"text": " \\n\\t "}',
    "NUL in text": b'{"text": "a\\u0000b"}',
    "too long a text": json.dumps({"text": "x" * 5001}).encode(),
    "a megabyte of text": b'{"text": "' + b"x" * (MIB - 12) + b'"}',
    "an unknown field": b'{"text": "a", "colour": "red"}',
    "fields called message and code": b'{"text": "a", "message": 1, "code": 2}',
    "a field without a name": b'{"text": "a", "": 1}',
    "NUL in a field's name": b'{"text": "a", "b\\u0000": 1}',
    "__proto__": b'{"text": "a", "__proto__": {}}',
    "a field twice": b'{"text": "a", "text": "b"}',
    "a field twice, spelt differently": b'{"text": "a", "\\u0074ext": "b"}',
    "numbers as ids": b'{"text": "a", "media_ids": [1]}',
    "huge numbers as ids": b'{"text": "a", "media_ids": [123456789012345678901234567890123456789]}',
    "words as ids": b'{"text": "a", "media_ids": ["x"]}',
    "an object as a list": b'{"text": "a", "media_ids": {"0": "x"}}',
    "null as a list": b'{"text": "a", "media_ids": null}',
    "too many ids": json.dumps({"text": "a", "media_ids": [str(uuid4())] * 5}).encode(),
}


def post(api: Api, body: bytes, content_type: str = "application/json"):
    return api.request("POST", "/api/v1/posts", body, Content_Type=content_type)


@pytest.fixture
def writer(way_to_write, member) -> Api:
    return Api(way_to_write, headers=member.headers)


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_no_json_is_a_parse_error(writer, body):
    refused(post(writer, body), 400, code="parse_error")


@pytest.mark.parametrize("body", NOT_THE_SCHEMA.values(), ids=NOT_THE_SCHEMA)
def test_what_is_not_the_schema_names_its_fields(writer, body):
    assert refused(post(writer, body), 400, code="validation_error")["errors"]


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"text": "a", "colour": "red"}, "colour", "unknown_field"),
        ({}, "text", "required"),
        ({"text": 5}, "text", "invalid"),
        ({"text": "x" * 5001}, "text", "max_length"),
        ({"text": "a", "media_ids": ["x"]}, "media_ids.0", "invalid"),
        ({"text": "a", "media_ids": ["x"] * 2000}, "", "too_many_values"),
        ({"text": "a", "media_ids": json.loads("[" * 40 + "]" * 40)}, "", "too_deep"),
    ],
)
def test_an_error_names_its_field(writer, body, field, code):
    errors = refused(writer.post("/api/v1/posts", body), 400, code="validation_error")["errors"]
    assert [(error["field"], error["code"]) for error in errors] == [(field, code)]


def test_a_body_of_unknown_fields_gets_a_short_answer(writer):
    body = json.dumps({f"field{n}": n for n in range(50_000)}).encode()
    answer = post(writer, body)
    refused(answer, 400)
    assert len(answer.body) < 10_000


def test_a_field_with_a_long_name_gets_a_short_answer(writer):
    answer = post(writer, json.dumps({"x" * 500_000: 1}).encode())
    refused(answer, 400)
    assert len(answer.body) < 10_000


def test_more_than_a_mebibyte_is_413(stack, way_to_write, member):
    wire = Wire(way_to_write)
    request = b"POST /api/v1/posts HTTP/1.1\r\n" + HEAD + b"Content-Length: %d\r\n\r\n" % (MIB + 1)
    reply = wire.send(request + b"x" * (MIB + 1))
    assert (reply.status, reply.problem()["code"]) == (413, "too_large")


@pytest.mark.parametrize("cookie", ["", "Cookie: sessionid=nobodys\r\n"])
def test_only_operators_send_uploads(way_to_write, cookie):
    """Django parses a form to check it against forgery, before the admin asks who sends it."""
    request = (
        f"POST /admin/login/ HTTP/1.1\r\n{cookie}Content-Type: multipart/form-data; boundary=b\r\n".encode() + HEAD
    )
    body = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + b"x" * 2 * MIB + b"\r\n--b--\r\n"
    reply = Wire(way_to_write).send(request + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert reply.status == 413


def test_exactly_a_mebibyte_is_read(writer):
    refused(post(writer, b'"' + b"x" * (MIB - 2) + b'"'), 400, code="validation_error")


def chunked(body: bytes) -> bytes:
    chunks = [body[n : n + 65536] for n in range(0, len(body), 65536)]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def send_chunked(wire: Wire, body: bytes, *headers: str):
    lines = "".join(f"{header}\r\n" for header in headers).encode()
    start = b"POST /api/v1/posts HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n"
    return wire.send(start + lines + b"Content-Type: application/json\r\n\r\n" + chunked(body))


def test_a_chunked_body_over_a_mebibyte_is_413(stack_url):
    reply = send_chunked(Wire(stack_url), b"x" * (MIB + 1))
    assert (reply.status, reply.problem()["code"]) == (413, "too_large")


def test_a_chunked_body_is_read_through_the_gateway(stack_url, member):
    reply = send_chunked(
        Wire(stack_url), b'{"text": "in chunks"}', f"Authorization: {member.headers['Authorization']}", "Prefer: wait=5"
    )
    assert reply.status == 201
    assert b"in chunks" in reply.raw


def test_a_pool_does_not_take_a_chunked_body_for_an_empty_one(stack, member):
    wire = Wire(stack.socket("write-1"))
    reply = send_chunked(wire, b'{"text": "lost"}', f"Authorization: {member.headers['Authorization']}")
    assert (reply.status, reply.problem()["code"]) == (411, "length_required")
