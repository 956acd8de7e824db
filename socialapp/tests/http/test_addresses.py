"""Queries and paths: limits, cursors, ids and names that are none."""

from base64 import urlsafe_b64encode

import pytest

from socialapp.tests.client import Api
from socialapp.tests.http.addresses import name, of_the_api
from socialapp.tests.http.checks import refused, sensible


def cursor(of: str) -> str:
    return urlsafe_b64encode(of.encode()).rstrip(b"=").decode()


LIMITS = [
    "0",
    "101",
    "-1",
    "a",
    "",
    "1e2",
    "%00",
    "%D9%A1",
    "%C2%B2",
    "1" * 3000,
    "0" * 8 + "19999",
    "+5",
    "5.0",
    "%20",
]
CURSORS = [
    "x", "%00", "%FF", "%ED%A0%80", "a" * 3000, "%C3%A9", cursor("-1"), cursor("9" * 30), cursor("x"), "!!", "a b",
    cursor("0x1"), cursor("\x00"),
]  # fmt: skip
QUERIES = [
    "format=xml", "format=%00", "format=../../x", "format=api", "version=%00", "version=%0A", "version=9", "lang=xx",
    "&".join(f"a{n}=1" for n in range(300)), ";;;&&&===", "%zz", "%FF=%FF", "__proto__=1", "_method=DELETE",
    "callback=x", "next=//evil.example", "q=" + "a" * 7000, "q=%00", "post_ids=%00", "usernames=%00", "page=0",
    "page=99999999999999999999&limit=-5", "at=%00", "type=%00", "scope=%00",
]  # fmt: skip
LISTS = ["/api/v1/posts", "/api/v1/timelines/public", "/api/v1/posts/{post}/likes", "/api/v1/posts/{post}/comments"]


@pytest.fixture(scope="module")
def post(member) -> str:
    return member.create_post("addresses")["id"]


@pytest.mark.parametrize("address", LISTS)
def test_a_limit_is_a_number_from_1_to_100(way_in, post, address):
    for limit in LIMITS:
        answer = Api(way_in).get(f"{address.format(post=post)}?limit={limit}")
        assert refused(answer, 400, code="validation_error")["errors"][0]["field"] == "limit"


@pytest.mark.parametrize("address", LISTS)
def test_a_cursor_is_one_of_ours(way_in, post, address):
    for value in CURSORS:
        if " " not in value:
            answer = Api(way_in).get(f"{address.format(post=post)}?cursor={value}")
            assert refused(answer, 400, code="validation_error")["errors"][0]["field"] == "cursor"


@pytest.mark.parametrize("address", of_the_api(), ids=name)
def test_every_query_gets_a_sensible_answer(way_in, member, address):
    api = Api(way_in, headers=member.headers)
    for query in QUERIES:
        sensible(api.get(f"{address}?{query}"))


def test_a_query_as_long_as_the_gateway_takes_is_answered(stack_url):
    for length in (1000, 4000, 8000):
        assert Api(stack_url).get(f"/api/v1/posts?x={'a' * length}").status == 200
    refused(Api(stack_url).get(f"/api/v1/posts?x={'a' * 9000}"), 414, code="uri_too_long")


@pytest.mark.parametrize(
    "address",
    [
        "/api/v1/posts/x", "/api/v1/posts/123", "/api/v1/posts/%00", "/api/v1/posts/../posts", "/api/v1/users/ab",
        "/api/v1/users/a%20b", "/api/v1/users/%C3%A9ric", "/api/v1/users/" + "a" * 31,
        "/api/v1/posts/", "/api/v1//posts", "/api/v2/posts", "/favicon.ico", "/", "/.env", "/.git/config",
    ],
)  # fmt: skip
def test_an_address_of_nothing_is_404(way_in, address):
    refused(Api(way_in).get(address), 404, 400)


@pytest.mark.parametrize("kind", ["posts", "comments", "commands"])
def test_an_id_of_nothing_is_404(way_in, member, kind):
    answer = Api(way_in, headers=member.headers).get(f"/api/v1/{kind}/00000000-0000-0000-0000-000000000000")
    refused(answer, 404, code="not_found")
