"""Proving a password: how often it may be tried, from where, and what is remembered of who succeeded.

Three buckets are taken from before the password is looked at, and given back when it is right. Strangers can empty the
bucket of an account for strangers only: a device or an address from which the account was signed in to before needs
just its own. After OWASP, "Slow Down Online Guessing Attacks with Device Cookies".
"""

import hmac
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.db.models.functions import Lower, Now
from django.http import HttpRequest, HttpResponse

from socialapp.accounts.models import Session, User
from socialapp.identity import security_log
from socialapp.identity.addresses import client_network
from socialapp.resilience import rates
from socialapp.resilience.rates import Bucket, Rate, TooManyRequests

PER_ACCOUNT_AND_NETWORK = Rate("password-of-account-from-network", size=10, every=60)
PER_ACCOUNT = Rate("password-of-account", size=50, every=60)
# Many people may share an address.
PER_NETWORK = Rate("password-from-network", size=300, every=2)

TOO_MANY = "Too many attempts to sign in. Wait before you try again."
# Refresh tokens cannot be guessed; trying to only costs the database.
FAILED_REFRESHES = Rate("refresh-from-network", size=300, every=2)
DEVICE_COOKIE = "device"
DEVICE_SALT = "socialapp.accounts.device"
REMEMBERED = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a password. Call `succeeded` or `failed` when it has been looked at."""

    account: str
    request: HttpRequest | None
    buckets: list[Bucket]

    def succeeded(self, user: User) -> None:
        rates.give_back(self.buckets)
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
            if not _is_known(name, network, request):
                raise
            buckets = buckets[:1]
            rates.take(buckets, TOO_MANY)
    except TooManyRequests:
        security_log.record("sign_in_throttled", request, account=account)
        raise
    return Attempt(account, request, buckets)


def refreshes_of(request: HttpRequest) -> list[Bucket]:
    """The buckets to take from before a refresh token is looked up, and to give back when it was good."""
    network = client_network(request)
    return [FAILED_REFRESHES.of(network)] if network else []


def network_digest(request: HttpRequest | None) -> str:
    """Names the client's network without saying which it is; "" when it is not known."""
    network = client_network(request)
    return hmac.digest(settings.SECRET_KEY.encode(), network.encode(), "sha256").hex()[:32] if network else ""


def _is_known(name: str, network: str, request: HttpRequest | None) -> bool:
    """Whether this device or network has signed in to the account before."""
    if request is None:
        return False
    try:
        if signing.loads(request.COOKIES[DEVICE_COOKIE], salt=DEVICE_SALT, max_age=REMEMBERED) == name:
            return True
    except (KeyError, signing.BadSignature):
        pass
    sessions = Session.objects.alias(name=Lower("user__username")).filter(name=name, started_at__gt=Now() - REMEMBERED)
    return bool(network) and sessions.filter(network=network_digest(request)).exists()


def remembers_devices(get_response):
    """Middleware of the write pool: who has proved a password gets the cookie of a known device."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        user = getattr(request, "proved_user", None)
        if user is not None:
            response.set_cookie(
                DEVICE_COOKIE,
                signing.dumps(user.username.lower(), salt=DEVICE_SALT),
                max_age=REMEMBERED,
                httponly=True,
                samesite="Lax",
                secure=request.is_secure(),
            )
        return response

    return middleware
