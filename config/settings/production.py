"""What a deployment that others can reach must not be started with. Only a stack on a loopback address is exempt."""

import base64
import binascii
import hmac
from collections.abc import Iterator
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.exceptions import ImproperlyConfigured

from config.settings.env import ROLE, SECRET_KEY, SECRET_KEY_FALLBACKS
from config.settings.security import (
    ALLOWED_HOSTS,
    JWT_PRIVATE_KEY,
    JWT_PUBLIC_KEYS,
    PUBLIC_URL,
    SECURE_TRANSPORT,
    STAMP_KEYS,
)
from config.settings.shop import PAYMENT_GATEWAY

LOOPBACK = {"localhost", "127.0.0.1", "::1", "[::1]"}
# Characters, and how many different ones: Django's own check (security.W009) asks for 50 and 5.
LEAST_SECRET, LEAST_DIFFERENT = 50, 10
# Words of keys that were copied from an example.
DEMO_WORDS = ("insecure", "changeme", "change-me", "change_me", "example", "secret-key", "secret_key", "password")
KEY_BYTES = 32
# Of 32 random bytes fewer than 16 different ones come once in 10^14 keys.
LEAST_DIFFERENT_BYTES = 16

NEW = "python3 -c 'import secrets; print(secrets.token_urlsafe({}))'"


def is_local() -> bool:
    """Whether only this machine can reach the deployment."""
    return urlsplit(PUBLIC_URL).hostname in LOOPBACK and set(ALLOWED_HOSTS) <= LOOPBACK


def refusals() -> Iterator[str]:
    """One sentence for each variable that is wrong: its name, what is wrong, and what to do."""
    yield from _secret("SECRET_KEY", SECRET_KEY)
    for fallback in SECRET_KEY_FALLBACKS:
        yield from _secret("SECRET_KEY_FALLBACKS", fallback)
    for key in STAMP_KEYS:
        yield from _secret("STAMP_KEY", key)
        if key in (SECRET_KEY, *SECRET_KEY_FALLBACKS):
            yield "STAMP_KEY is also a SECRET_KEY, which the read pool knows: it needs a key of its own."
    if any(host.startswith("*") for host in ALLOWED_HOSTS) or not ALLOWED_HOSTS:
        yield "ALLOWED_HOSTS allows every host or none: list the names under which clients reach the gateway."
    if not SECURE_TRANSPORT or urlsplit(PUBLIC_URL).scheme != "https":
        yield (
            f"PUBLIC_URL is {PUBLIC_URL!r}, and SECURE_TRANSPORT is {'on' if SECURE_TRANSPORT else 'off'}: passwords"
            " and tokens need TLS. Set PUBLIC_URL to the gateway's https address, and leave SECURE_TRANSPORT on."
        )
    yield from _signing_keys()
    if PAYMENT_GATEWAY == "sandbox" and ROLE in ("write", "worker"):
        yield "PAYMENT_GATEWAY is sandbox, which takes no money: set it to stripe."


def _secret(name: str, secret: str) -> Iterator[str]:
    if any(word in secret.lower() for word in DEMO_WORDS):
        yield f"{name} is a key from an example, which others know: make one with {NEW.format(LEAST_SECRET)}"
    elif len(secret) < LEAST_SECRET or len(set(secret)) < LEAST_DIFFERENT:
        yield (
            f"{name} is weak: it needs {LEAST_SECRET} characters, {LEAST_DIFFERENT} of them different. Make one with"
            f" {NEW.format(LEAST_SECRET)}"
        )


def _signing_keys() -> Iterator[str]:
    keys = [("JWT_PUBLIC_KEYS", key) for key in JWT_PUBLIC_KEYS]
    keys += [("JWT_PRIVATE_KEY", JWT_PRIVATE_KEY)] if JWT_PRIVATE_KEY else []
    weak = {name for name, key in keys if len(set(raw := _raw(key))) < LEAST_DIFFERENT_BYTES or len(raw) != KEY_BYTES}
    for name in sorted(weak):
        yield f"{name} is no random Ed25519 key of {KEY_BYTES} bytes in base64url: try {NEW.format(KEY_BYTES)}"
    if JWT_PRIVATE_KEY and not weak and not any(hmac.compare_digest(_public(), _raw(key)) for key in JWT_PUBLIC_KEYS):
        yield "JWT_PUBLIC_KEYS lacks the public key of JWT_PRIVATE_KEY: nobody would accept a token. Add it."


def _raw(key: str) -> bytes:
    """b"" for what is no base64url."""
    try:
        return base64.b64decode(key + "=" * (-len(key) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _public() -> bytes:
    return Ed25519PrivateKey.from_private_bytes(_raw(JWT_PRIVATE_KEY)).public_key().public_bytes_raw()


if not is_local() and (wrong := list(refusals())):
    raise ImproperlyConfigured("\n".join(["This process does not start:", *(f"- {one}" for one in wrong)]))
