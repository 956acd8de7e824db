"""Forms, as browsers send them and as they should not; and content types that nobody reads."""

import pytest

from socialapp.tests.client import Api
from socialapp.tests.http.checks import refused

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=xx"


def part(name: str, value: bytes, *headers: str) -> bytes:
    lines = "".join(f"\r\n{header}" for header in headers)
    return f'--xx\r\nContent-Disposition: form-data; name="{name}"{lines}\r\n\r\n'.encode() + value + b"\r\n"


END = b"--xx--\r\n"

MALFORMED = {
    "bytes that are no UTF-8": (URLENCODED, b"text=\xff\xfe"),
    "escapes that are no UTF-8": (URLENCODED, b"text=%FF%FE"),
    "a surrogate": (URLENCODED, b"text=%ED%A0%80"),
    "NUL": (URLENCODED, b"text=a%00b"),
    "every byte": (URLENCODED, bytes(range(256))),
    "Latin-1": (f"{URLENCODED}; charset=latin-1", b"text=\xe9"),
    "a charset that is no charset": (f"{URLENCODED}; charset=rot13", b"text=a"),
    "a charset that always fails": (f"{URLENCODED}; charset=undefined", b"text=a"),
    "UTF-7": (f"{URLENCODED}; charset=utf-7", b"text=+2AA-"),
    "a field twice": (URLENCODED, b"text=a&text=b"),
    "an unknown field": (URLENCODED, b"text=a&colour=red"),
    "200 fields": (URLENCODED, b"&".join(b"f%d=1" % n for n in range(200))),
    "no boundary": ("multipart/form-data", part("text", b"a") + END),
    "another boundary": ("multipart/form-data; boundary=yy", part("text", b"a") + END),
    "a boundary that is not ASCII": ("multipart/form-data; boundary=\xe9", b"x"),
    "a long boundary": (f"multipart/form-data; boundary={'x' * 300}", b"x"),
    "no parts": (MULTIPART, b"garbage"),
    "a form that is cut off": (MULTIPART, part("text", b"a")),
    "a part without a name": (MULTIPART, b"--xx\r\nContent-Disposition: form-data\r\n\r\na\r\n" + END),
    "a part that is no UTF-8": (MULTIPART, part("text", b"\xff") + END),
    "a part with NUL": (MULTIPART, part("text", b"\x00") + END),
    "a name with NUL": (MULTIPART, part("te\x00xt", b"a") + END),
    "bad base64": (MULTIPART, part("text", b"!!!", "Content-Transfer-Encoding: base64") + END),
    "a part twice": (MULTIPART, part("text", b"a") + part("text", b"b") + END),
    "200 parts": (MULTIPART, b"".join(part(f"f{n}", b"1") for n in range(200)) + END),
    "200 files": (MULTIPART, b"".join(part(f'f{n}"; filename="a', b"1") for n in range(200)) + END),
    "a file for a text": (MULTIPART, part('text"; filename="a.txt', b"a") + END),
    "a long part header": (MULTIPART, part("x" * 20_000, b"a") + END),
}

UNREAD = [
    "application/xml", "text/plain", "application/problem+json", "application/merge-patch+json", "*/*",
    "application/*", "application/json, text/plain", "json", "a/b/c;;;=", "application/\xe9", "image/png",
    f"{URLENCODED}x", f"application/json; a={'b' * 7000}",
]  # fmt: skip


@pytest.fixture
def writer(way_to_write, member) -> Api:
    return Api(way_to_write, headers=member.headers)


def post(api: Api, content_type: str, body: bytes):
    return api.request("POST", "/api/v1/posts", body, Content_Type=content_type, prefer="wait=5")


@pytest.mark.parametrize(("content_type", "body"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_form_is_refused(writer, content_type, body):
    refused(post(writer, content_type, body), 400, 415)


@pytest.mark.parametrize("content_type", UNREAD)
def test_a_content_type_that_nobody_reads_is_415(writer, content_type):
    refused(post(writer, content_type, b'{"text": "a"}'), 415, code="unsupported_media_type")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (URLENCODED, b"text=gr%C3%BCn+%26+%C3%9F"),
        (f"{URLENCODED}; charset=UTF-8", "text=grün+%26+ß".encode()),
        (MULTIPART, part("text", "grün & ß".encode()) + END),
        ("application/json; charset=utf-8", '{"text": "grün & ß"}'.encode()),
        ("APPLICATION/JSON", '{"text": "gr\\u00fcn & ß"}'.encode()),
    ],
)
def test_forms_and_json_say_the_same(writer, content_type, body):
    answer = post(writer, content_type, body)
    assert (answer.status, answer.json()["text"]) == (201, "grün & ß")
