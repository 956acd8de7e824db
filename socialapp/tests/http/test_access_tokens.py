"""Access tokens: whatever is not signed by a key of ours, for now and for us, is 401 through every door."""

import base64
import hmac
import json
import time
from hashlib import sha256
from uuid import uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from socialapp.cqrs import server_time
from socialapp.identity import signing
from socialapp.tests.client import Api
from socialapp.tests.http.checks import refused


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsigned(header: object, claims: object, signature: bytes = b"") -> str:
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims)]
    return ".".join(base64url(part) for part in (*parts, signature))


@pytest.fixture(scope="module")
def key(stack) -> Ed25519PrivateKey:
    encoded = stack.environment("write")["JWT_PRIVATE_KEY"]
    return Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(encoded + "=="))


@pytest.fixture(scope="module")
def api_keys(stack_url) -> list[dict]:
    return Api(stack_url).get("/.well-known/jwks.json").json()["keys"]


@pytest.fixture
def claims() -> dict:
    now = int(time.time())
    return {"iss": "socialapp", "sub": str(uuid4()), "username": "x", "staff": True, "iat": now, "exp": now + 600}


@pytest.fixture
def signed(key, api_keys):
    def sign(claims: dict, signer=key, **header) -> str:
        return jwt.encode(claims, signer, algorithm="EdDSA", headers={"kid": api_keys[0]["kid"]} | header)

    return sign


def present(at, token: str):
    """401 on what needs a user, and on what does not."""
    for address in ("/api/v1/me", "/api/v1/posts"):
        answer = Api(at).get(address, authorization=f"Bearer {token}")
        assert refused(answer, 401)["code"] in ("invalid_token", "token_expired", "authentication_failed")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_signed_by_us_is_taken(way_in, signed, claims):
    assert Api(way_in).get("/api/v1/posts", authorization=f"Bearer {signed(claims)}").status == 200


def test_the_published_keys_are_public(api_keys):
    for one in api_keys:
        assert one.keys() == {"kty", "crv", "use", "alg", "kid", "x"}


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": 1}, {"exp": "never"}, {"exp": None}, {"iss": "elsewhere"}, {"iss": None}, {"sub": None},
        {"username": None}, {"staff": None}, {"nbf": 99999999999}, {"iat": 99999999999},
    ],
    ids=str,
)  # fmt: skip
def test_a_token_of_another_time_or_issuer_is_refused(way_in, signed, claims, changed):
    claims = {name: value for name, value in (claims | changed).items() if value is not None}
    present(way_in, signed(claims))


def test_a_token_signed_by_another_key_is_refused(way_in, signed, claims):
    present(way_in, signed(claims, Ed25519PrivateKey.generate()))


@pytest.mark.parametrize("kid", ["", "x", "../../etc/passwd", "' OR 1=1 --"])
def test_a_token_with_an_unknown_key_is_refused(way_in, signed, claims, kid):
    present(way_in, signed(claims, kid=kid))


def test_a_token_without_a_key_is_refused(way_in, key, claims):
    present(way_in, jwt.encode(claims, key, algorithm="EdDSA"))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "RS256", "ES256", "", "eddsa"])
def test_an_unsigned_token_is_refused(way_in, api_keys, claims, algorithm):
    for signature in (b"", b"x" * 64):
        present(way_in, unsigned({"alg": algorithm, "kid": api_keys[0]["kid"]}, claims, signature))


def test_the_public_key_is_no_password(way_in, api_keys, claims):
    """The algorithm confusion: HMAC with what everybody knows."""
    public = api_keys[0]["x"]
    for secret in (public.encode(), base64.urlsafe_b64decode(public + "=="), json.dumps(api_keys[0]).encode()):
        text = unsigned({"alg": "HS256", "kid": api_keys[0]["kid"]}, claims).rpartition(".")[0]
        present(way_in, f"{text}.{base64url(hmac.digest(secret, text.encode(), sha256))}")


HEADERS = {
    "a list": b"[]", "a number": b"1", "no JSON": b"{", "no UTF-8": b"\xff",
    "a list as kid": b'{"alg":"EdDSA","kid":[]}',
    "an object as kid": b'{"alg":"EdDSA","kid":{}}', "a number as kid": b'{"alg":"EdDSA","kid":1}',
    "null as kid": b'{"alg":"EdDSA","kid":null}', "NaN": b'{"alg":"EdDSA","kid":NaN}',
    "bottomless": b"[" * 5900, "bottomless objects": b'{"a":' * 1100, "a long number": b'{"a":' + b"9" * 4500 + b"}",
    "a key of its own": b'{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"eA"}}',
    "a key from elsewhere": b'{"alg":"EdDSA","jku":"http://127.0.0.1:1/"}', "critical": b'{"alg":"EdDSA","crit":["x"]}',
}  # fmt: skip


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_malformed_token_is_refused(way_in, api_keys, claims, header):
    present(way_in, unsigned(header, claims, b"x" * 64))


@pytest.mark.parametrize("payload", [b"[" * 4000, b"[]", b"1", b"\xff", b"", b'{"sub":1}'], ids=lambda raw: raw[:9])
def test_a_malformed_payload_is_refused(way_in, api_keys, payload):
    present(way_in, unsigned({"alg": "EdDSA", "kid": api_keys[0]["kid"]}, payload, b"x" * 64))


@pytest.mark.parametrize("token", ["....", "a.b", "a==.b==.c==", "a" * 8000, "\xe9", "%00", "null"])
def test_what_is_no_token_is_refused(way_in, token):
    present(way_in, token)


def test_a_token_that_was_good_before_still_ends(monkeypatch):
    token = signing.sign_access(user_id=uuid4(), username="x", is_staff=False)
    # given a process that has verified it once
    assert signing.verify_access(token)["username"] == "x"
    # when its time has come
    end = server_time.nanoseconds() + (signing.ACCESS_LIFETIME + 1) * 10**9
    monkeypatch.setattr(server_time, "nanoseconds", lambda: end)
    # then it is refused
    with pytest.raises(signing.InvalidToken):
        signing.verify_access(token)
