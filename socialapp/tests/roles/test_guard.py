"""The guard at a read server's own door: writes are turned away before anybody reads them."""

import pytest

from socialapp.tests.client import Api
from socialapp.tests.http.addresses import UNSAFE, everywhere, name
from socialapp.tests.http.checks import refused
from socialapp.tests.http.raw import HEAD, Wire


@pytest.mark.parametrize("address", [*everywhere(), "/api/v1/nowhere"], ids=name)
def test_unsafe_methods_are_refused_everywhere(stack, address):
    for server in ("read-1", "read-2"):
        for method in UNSAFE:
            answer = Api(stack.socket(server)).request(method, address, b"{", Content_Type="no/such; type")
            refused(answer, 421, code="wrong_pool")


BEFORE_PARSING = {
    "a bad token": b"Authorization: Bearer x\r\nConsistency-Token: x\r\nContent-Length: 2\r\n\r\n{}",
    "a body that never comes": b"Content-Length: 1000\r\n\r\n",
    "a body too large": b"Content-Length: 99999999\r\n\r\n",
    "a bad chunk": b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "another host": b"X-Forwarded-Host: evil.example\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("rest", BEFORE_PARSING.values(), ids=BEFORE_PARSING)
def test_they_are_refused_before_anything_is_read(stack, rest):
    reply = Wire(stack.socket("read-1")).send(b"POST /api/v1/posts HTTP/1.1\r\n" + HEAD + rest)
    assert (reply.status, reply.problem()["code"]) == (421, "wrong_pool")


def test_the_write_pool_reads_too(stack, user):
    post = user.create_post("read by a writer")
    assert Api(stack.socket("write-1")).get(f"/api/v1/posts/{post['id']}").status == 200
