"""Proving a password: how often it may be tried, from where, and what is remembered of who succeeded.

Three buckets are taken from before the password is looked at, and given back when it is right. Strangers can empty the
bucket of an account for strangers only: a device or a network from which the account was signed in to before needs
just its own, and so does a session that has not ended. After OWASP, "Slow Down Online Guessing Attacks with Device
Cookies".
"""

import hmac
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b

from django.conf import settings
from django.core import signing
from django.db.models.functions import Lower, Now
from django.http import HttpRequest, HttpResponse

from socialapp.accounts.models import Session, User
from socialapp.cqrs import keys, valkey
from socialapp.identity import security_log
from socialapp.identity.addresses import client_network
from socialapp.resilience import rates
from socialapp.resilience.rates import Bucket, Rate, TooManyRequests

PER_ACCOUNT_AND_NETWORK = Rate("password-of-account-from-network", size=10, every=60)
PER_ACCOUNT = Rate("password-of-account", size=50, every=60)
PER_DEVICE = Rate("password-of-account-on-device", size=10, every=60)
PER_SIGNED_IN = Rate("password-of-signed-in-user", size=10, every=60)
# Many people may share an address.
PER_NETWORK = Rate("password-from-network", size=300, every=2)

TOO_MANY = "Too many attempts to sign in. Wait before you try again."
# Refresh tokens cannot be guessed; trying to only costs the database.
FAILED_REFRESHES = Rate("refresh-from-network", size=300, every=2)
DEVICE_COOKIE = "device"
DEVICE_SALT = "socialapp.accounts.device"
REMEMBERED = timedelta(days=180)
# Accounts that one browser is remembered for: the ones that signed in there last.
MOST_NAMES = 8


@dataclass(frozen=True, slots=True)
class Device:
    """A browser. id: the same in each cookie that it gets. names: accounts that signed in there, the last one first."""

    id: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a password. Call `succeeded` or `failed` when it has been looked at."""

    account: str
    request: HttpRequest | None
    buckets: list[Bucket]

    def succeeded(self, user: User) -> None:
        rates.give_back(self.buckets)
        _remember_network(user.username.lower(), client_network(self.request))
        if self.request is not None:
            # The middleware below; of a request of DRF the one that Django knows.
            getattr(self.request, "_request", self.request).proved_user = user

    def failed(self) -> None:
        security_log.record("sign_in_failed", self.request, account=self.account)


def begin(account: str, request: HttpRequest | None) -> Attempt:
    """Before a password of `account` is looked at; whether there is such an account makes no difference.

    Raises TooManyRequests.
    """
    network, name = client_network(request), account.lower()
    # Without a gateway nobody knows whose address it is.
    buckets = [PER_ACCOUNT_AND_NETWORK.of(name, network), PER_ACCOUNT.of(name)]
    buckets += [PER_NETWORK.of(network)] if network else []
    try:
        try:
            rates.take(buckets, TOO_MANY)
        except TooManyRequests:
            own = _own_bucket(name, network, request)
            if own is None:
                raise
            buckets = [own]
            rates.take(buckets, TOO_MANY)
    except TooManyRequests:
        security_log.record("sign_in_throttled", request, account=account)
        raise
    return Attempt(account, request, buckets)


def begin_signed_in(user: User, request: HttpRequest | None) -> Attempt:
    """Before the password of a user is looked at whose session goes on: nobody else can use up these attempts.

    Raises TooManyRequests.
    """
    buckets = [PER_SIGNED_IN.of(user.pk)]
    try:
        rates.take(buckets, TOO_MANY)
    except TooManyRequests:
        security_log.record("sign_in_throttled", request, account=user.username)
        raise
    return Attempt(user.username, request, buckets)


def refreshes_of(request: HttpRequest) -> list[Bucket]:
    """The buckets to take from before a refresh token is looked up, and to give back when it was good."""
    network = client_network(request)
    return [FAILED_REFRESHES.of(network)] if network else []


def network_digest(request: HttpRequest | None) -> str:
    """Names the client's network without saying which it is; "" when it is not known."""
    network = client_network(request)
    return hmac.digest(settings.SECRET_KEY.encode(), network.encode(), "sha256").hex()[:32] if network else ""


def _own_bucket(name: str, network: str, request: HttpRequest | None) -> Bucket | None:
    """The bucket of a device or network from which the account was signed in to before; None for a stranger."""
    if request is None:
        return None
    device = _device(request)
    if name in device.names:
        # By its id: the cookie changes with each sign-in, of another account too, and must not fill the bucket.
        return PER_DEVICE.of(name, device.id)
    if not network:
        return None
    sessions = Session.objects.alias(name=Lower("user__username")).filter(name=name, started_at__gt=Now() - REMEMBERED)
    known = _remembers_network(name, network) or sessions.filter(network=network_digest(request)).exists()
    return PER_ACCOUNT_AND_NETWORK.of(name, network) if known else None


def _remember_network(name: str, network: str) -> None:
    """For every kind of sign-in; those of the API leave a Session as well. Without the state store it is left out."""
    with suppress(*valkey.UNREACHABLE):
        if network:
            valkey.state().set(_network_key(name, network), 1, ex=REMEMBERED)


def _remembers_network(name: str, network: str) -> bool:
    with suppress(*valkey.UNREACHABLE):
        return bool(valkey.state().exists(_network_key(name, network)))
    return False


def _network_key(name: str, network: str) -> str:
    secret = settings.SECRET_KEY.encode()
    return keys.known_network(hmac.digest(secret, f"{name}\0{network}".encode(), "sha256").hex()[:32])


def _device(request: HttpRequest) -> Device:
    """The browser of the request; one with a new id when it shows no cookie of ours."""
    cookie = request.COOKIES.get(DEVICE_COOKIE, "")
    try:
        remembered = signing.loads(cookie, salt=DEVICE_SALT, max_age=REMEMBERED)
    except signing.BadSignature:
        return Device(secrets.token_hex(16))
    if isinstance(remembered, dict):
        return Device(remembered["id"], tuple(remembered["names"]))
    # Cookies of earlier code name one account or several; the same cookie has to give the same id.
    names = tuple(remembered) if isinstance(remembered, list) else (remembered,)
    return Device(blake2b(cookie.encode(), digest_size=16).hexdigest(), names)


def remembers_devices(get_response):
    """Middleware of the write pool: who has proved a password gets the cookie of a known device."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        user = getattr(request, "proved_user", None)
        if user is not None:
            name, device = user.username.lower(), _device(request)
            names = [name, *(other for other in device.names if other != name)]
            response.set_cookie(
                DEVICE_COOKIE,
                signing.dumps({"id": device.id, "names": names[:MOST_NAMES]}, salt=DEVICE_SALT),
                max_age=REMEMBERED,
                httponly=True,
                samesite="Lax",
                secure=request.is_secure(),
            )
        return response

    return middleware
