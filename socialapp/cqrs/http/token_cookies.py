"""The consistency tokens of browsers: a set of cookies, in which no answer can undo what another one has added.

Answers arrive in any order. Each that changes a browser's token adds a cookie and expires only those that its own
request presented, as the new one contains them (an observed-remove set: Shapiro et al., "A comprehensive study of
convergent and commutative replicated data types", 2011). A cookie's name is made of its value, so it never stands for
anything else, and parallel reads that merge the same cookies make the same one instead of ever new ones.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b

from django.http import HttpRequest, HttpResponse

from socialapp.cqrs.consistency import COOKIE, COOKIE_AGE, HEADER, BadToken, Token

PREFIX = f"{COOKIE}."
# Also the name of earlier deploys. Other characters are no name that a Set-Cookie header can carry.
OUR_NAMES = re.compile(rf"{COOKIE}(\.[0-9A-Za-z]{{0,40}})?")
# One or two are usual; there are more when a browser writes in parallel. The others stay for its next request.
MOST_READ = 16
# Commands that a cookie should name: 0.5 KB. With 32 it has 1.7 KB, and nginx refuses a request with ten of those.
MOST_PENDING = 8
# Characters; a browser keeps no more than 4096 bytes.
LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request shows of a client's writes.

    token: of its header and cookies together, if there is any. contained: names of cookies that `token` contains.
    broken: names of cookies that hold no token. complete: whether all of the request's cookies were read.
    """

    token: Token | None = None
    contained: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    complete: bool = True


def presented(request: HttpRequest) -> Presented:
    """Raises BadToken for a header that is no token of ours; a broken cookie is ignored."""
    header = request.META.get("HTTP_CONSISTENCY_TOKEN")
    token = Token.decode(header) if header else None
    if COOKIE not in request.META.get("HTTP_COOKIE", ""):
        return Presented(token)
    names = [name for name in request.COOKIES if OUR_NAMES.fullmatch(name)]
    # Browsers send the oldest first.
    found = {name: _decoded(request.COOKIES[name]) for name in names[-MOST_READ:]}
    contained = tuple(name for name, remembered in found.items() if remembered)
    for name in contained:
        token = token.merged(found[name]) if token else found[name]
    broken = tuple(name for name, remembered in found.items() if not remembered)
    return Presented(token, contained, broken, len(names) <= MOST_READ)


def replace_presented(request: HttpRequest, response: HttpResponse, token: str) -> None:
    """Give the browser a cookie with the encoded token, for those that the request presented.

    The caller guarantees that `token` contains `request.presented.token`, but for commands that are confirmed.
    """
    name = f"{PREFIX}{blake2b(token.encode(), digest_size=8).hexdigest()}"
    response.set_cookie(name, token, max_age=COOKIE_AGE, httponly=True, samesite="Lax", secure=request.is_secure())
    shown = getattr(request, "presented", Presented())
    _expire(response, [other for other in (*shown.contained, *shown.broken) if other != name])


def drop_stamp(request: HttpRequest, response: HttpResponse) -> None:
    """Answer with what the request presented, but for its stamp, which a server has refused."""
    encoded = replace(request.consistency_token, stamp=0).encode()
    response[HEADER] = encoded
    if request.presented.contained:
        replace_presented(request, response, encoded)


def consolidate(request: HttpRequest, response: HttpResponse, token: Token | None) -> None:
    """After a read: leave one cookie, with what the token has become, if there are more or if it has changed.

    Else the browser would ask about the same settled commands for as long as its cookies live.
    """
    shown = request.presented
    if token and shown.contained and (token != shown.token or shown.broken or len(shown.contained) > 1):
        replace_presented(request, response, token.encode())
    else:
        _expire(response, shown.broken)


def _expire(response: HttpResponse, names: Iterable[str]) -> None:
    for name in names:
        response.delete_cookie(name, samesite="Lax")


def _decoded(value: str) -> Token | None:
    try:
        return Token.decode(value) if len(value) <= LONGEST else None
    except BadToken:
        return None
