"""Access tokens: EdDSA JWTs (RFC 8037). The write pool signs, everybody verifies; keys by their thumbprint."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cache, lru_cache
from hashlib import sha256
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

from socialapp.cqrs import server_time

ALGORITHM = "EdDSA"
ISSUER = "socialapp"
# Seconds. So long is an access token remembered after it was revoked (revocations.KEPT).
ACCESS_LIFETIME = 15 * 60
# Seconds by which the clocks of the servers that two processes go by may differ.
CLOCK_DIFFERENCE = 5
# Tokens per process, about 1 KB each. To verify one takes a third of the time that accepting a write takes.
REMEMBERED = 8192


class InvalidToken(Exception):
    """The token is malformed, expired, or not signed by a key of ours."""


class ExpiredToken(InvalidToken):
    """The token was good until it expired."""


def sign_access(
    *, user_id: UUID, username: str, is_staff: bool, session: UUID | None = None, rights_version: int = 0
) -> str:
    """session: whose end revokes the token. rights_version: the user's, which rises when all tokens are revoked."""
    now = server_time.nanoseconds() // 10**9
    claims = {
        "iss": ISSUER,
        "sub": str(user_id),
        "username": username,
        "staff": is_staff,
        "sid": session and str(session),
        "ver": rights_version,
        "iat": now,
        "exp": now + ACCESS_LIFETIME,
    }
    key, key_id = _private_key()
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": key_id})


def verify_access(token: str) -> dict:
    """The claims of a valid token. Raises InvalidToken, or ExpiredToken."""
    claims = _verified(token)
    now = server_time.nanoseconds() / 1e9
    if claims["exp"] <= now:
        raise ExpiredToken("Signature has expired")
    if claims.get("iat", 0) > now + CLOCK_DIFFERENCE:
        raise InvalidToken("The token is not yet valid (iat)")
    return dict(claims)


@lru_cache(maxsize=REMEMBERED)
def _verified(token: str) -> dict:
    """A token is shown again with each request, and stays what it is. The caller checks its times."""
    try:
        key = _public_keys()[jwt.get_unverified_header(token)["kid"]]
        required = ["exp", "iss", "sub", "username", "staff"]
        options = {"require": required, "verify_exp": False, "verify_iat": False}
        claims = jwt.decode(token, key, algorithms=[ALGORITHM], issuer=ISSUER, options=options)
        return claims | {name: int(claims[name]) for name in ("exp", "iat") if name in claims}
    except (jwt.InvalidTokenError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise InvalidToken(str(error)) from error


@cache
def jwks() -> dict:
    """The public keys as a JWK set (RFC 7517)."""
    return {
        "keys": [
            {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": ALGORITHM, "kid": _key_id(raw), "x": _encode(raw)}
            for raw in map(_decode, settings.JWT_PUBLIC_KEYS)
        ]
    }


@cache
def _private_key() -> tuple[Ed25519PrivateKey, str]:
    key = Ed25519PrivateKey.from_private_bytes(_decode(settings.JWT_PRIVATE_KEY))
    return key, _key_id(key.public_key().public_bytes_raw())


@cache
def _public_keys() -> dict[str, Ed25519PublicKey]:
    raws = [_decode(encoded) for encoded in settings.JWT_PUBLIC_KEYS]
    return {_key_id(raw): Ed25519PublicKey.from_public_bytes(raw) for raw in raws}


def _key_id(raw: bytes) -> str:
    """The JWK thumbprint (RFC 7638)."""
    return _encode(sha256(b'{"crv":"Ed25519","kty":"OKP","x":"%s"}' % _encode(raw).encode()).digest())


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
