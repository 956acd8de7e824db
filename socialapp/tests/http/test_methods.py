"""Every address answers every method, through every door, with a success or a problem document."""

import pytest

from socialapp.tests.client import Api
from socialapp.tests.http.addresses import SAFE, SESSION_PAGES, UNSAFE, everywhere, name, of_the_api
from socialapp.tests.http.checks import refused, sensible

DOUBTFUL = ["application/xml", "nonsense", "", "application/json;q=0", "\xff/\xfe", "application/json; indent=9"]


def ask(api: Api, method: str, address: str, accept: str = "application/json"):
    body = b"{" if method in UNSAFE else None
    return api.request(method, address, body, Accept=accept, Content_Type="application/json", prefer="wait=1")


@pytest.mark.parametrize("address", everywhere(), ids=name)
def test_every_method_gets_a_sensible_answer(way_in, member, address):
    for headers in ({}, member.headers):
        for method in SAFE + UNSAFE:
            sensible(ask(Api(way_in, headers=headers), method, address), empty=method == "HEAD")


@pytest.mark.parametrize("address", of_the_api(), ids=name)
def test_every_accept_gets_a_sensible_answer(way_in, member, address):
    for accept in DOUBTFUL:
        for method in ("GET", "OPTIONS"):
            sensible(ask(Api(way_in, headers=member.headers), method, address, accept))


@pytest.mark.parametrize("address", of_the_api(), ids=name)
def test_options_names_the_methods(way_in, member, address):
    answer = ask(Api(way_in, headers=member.headers), "OPTIONS", address)
    if answer.status == 200 and answer.headers["Allow"]:
        assert "OPTIONS" in answer.headers["Allow"]


@pytest.mark.parametrize("address", ["/api/v1/schema", "/api/v1/docs", "/api/v1/", "/.well-known/jwks.json"])
def test_a_method_that_an_address_lacks_is_405_in_json_whatever_the_view_renders(way_to_write, address):
    answer = Api(way_to_write).post(address, {}, Accept="*/*")
    assert refused(answer, 405, code="method_not_allowed")["title"] == "Method Not Allowed"
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("method", "address", "allowed"),
    [
        ("TRACE", "/api/v1/posts", "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE"),
        ("PUT", "/static/x.css", "GET, HEAD"),
    ],
)
def test_what_the_gateway_itself_refuses_names_the_methods_too(api, method, address, allowed):
    answer = api.request(method, address)
    refused(answer, 405, code="method_not_allowed")
    assert answer.headers["Allow"] == allowed


def test_djangos_own_pages_refuse_in_words_too(stack):
    answer = Api(stack.socket("write-1")).get("/auth/logout/")
    refused(answer, 405, code="method_not_allowed")
    assert answer.headers["Allow"] == "POST, OPTIONS"


def test_head_and_get_have_the_same_headers(way_in, member):
    post = member.create_post("head")
    api = Api(way_in, headers=member.headers)
    address = f"/api/v1/posts/{post['id']}"
    get, head = api.get(address), api.request("HEAD", address)
    assert (head.status, head.body) == (200, b"")
    for header in ("ETag", "Content-Type", "Cache-Control", "Vary"):
        assert head.headers[header] == get.headers[header]


@pytest.mark.parametrize(
    "address", [address for address in everywhere() if address.startswith(SESSION_PAGES)], ids=name
)
def test_the_read_pool_refuses_session_pages(stack, address):
    refused(Api(stack.socket("read-1")).get(address), 421, code="wrong_pool")
