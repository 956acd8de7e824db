"""The middleware of consistency tokens: what a request presents decides what its reads may be served from."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from socialapp.cqrs import consistency, heartbeat, outcomes, roles, routing, servers, timelines
from socialapp.cqrs.consistency import MOST_PENDING, BadToken, Token
from socialapp.cqrs.http import token_cookies
from socialapp.cqrs.http.preferences import wait_preference
from socialapp.cqrs.http.problems import to_http
from socialapp.cqrs.problems import Unavailable
from socialapp.cqrs.routing import Requirement, requiring


def freshness(get_response):
    """Settle the presented token before a read; answer with the token and with what the read could promise."""
    may_write = roles.may_write()

    def middleware(request: HttpRequest) -> HttpResponse:
        try:
            request.presented = token_cookies.presented(request)
        except BadToken as problem:
            return to_http(problem)
        token = request.consistency_token = request.presented.token
        if may_write and request.method not in ("GET", "HEAD"):
            return get_response(request)
        if token is None:
            response = _read(get_response, request, Requirement())
            response["Consistency"] = "eventual"
            token_cookies.consolidate(request, response, token)
            return response
        fresher, kept = settled(token, wait_preference(request))
        request.consistency_token = fresher
        required = Requirement(fresher, skip_cache=fresher.skips_cache, kept=kept and request.presented.complete)
        response = _read(get_response, request, required)
        _tell(request, response, fresher, required.kept)
        token_cookies.consolidate(request, response, fresher)
        return response

    return middleware


def _read(get_response: Callable, request: HttpRequest, required: Requirement) -> HttpResponse:
    """Answer a read; once more, on another server, when the one that it was reading was lost in the middle of it."""
    with requiring(required):
        response = get_response(request)
    if not required.failed_over:
        return response
    with requiring(required):
        return get_response(request)


def _tell(request: HttpRequest, response: HttpResponse, token: Token, kept: bool) -> None:
    """Say what the read could promise; what carries somebody's token is stored by no shared cache."""
    response["Consistency"] = "strong" if kept else "eventual"
    unchanged = token == request.presented.token and not request.presented.contained
    response[consistency.HEADER] = request.META["HTTP_CONSISTENCY_TOKEN"] if unchanged else token.encode()
    if response.has_header("X-Accel-Expires"):
        del response["X-Accel-Expires"], response["CDN-Cache-Control"]
        response["Cache-Control"] = "private, no-cache"


def settled(token: Token, seconds: float | None) -> tuple[Token, bool]:
    """Wait for the token's pending commands; (the token that now holds, whether all of it can be kept).

    A command stays pending in the token until its effect is committed and out of every cache. One that is unknown
    everywhere was lost: this read says `eventual`, and the token is without it, so the next one does not wait for it.
    """
    token = token.without_old_losses()
    kept = not token.lost_at
    if token.pending:
        found, unknown = outcomes.wait_or_unknown(token.pending, seconds=outcomes.wait_default(seconds))
        kept = kept and all(command_id in found and found[command_id].settled for command_id in token.pending)
        token = outcomes.settled_by(token, found).without(unknown)
    token, survived = _carried_over(token)
    return token, kept and survived


def _carried_over(token: Token) -> tuple[Token, bool]:
    """(the token on the timeline that is written to, whether all that it stands for is certainly there).

    Asked here, and not only where a database is read: an entry of the cache does not say what it contains.
    """
    if heartbeat.is_disputed():
        return token, False
    positions = token.positions()
    if not positions:
        return token, True
    present = heartbeat.timeline(claimed=max(positions))
    if present and min(positions) >= present:
        # A later timeline: of a primary that is not written to, or whose first heartbeat is still to come.
        return token, max(positions) == present
    try:
        with requiring(Requirement()):
            read = routing.read_with(lambda alias: timelines.carried_over(servers.look(alias), token))
    except Unavailable:
        return token, False
    return read.result


def remember(request: HttpRequest, response: HttpResponse, token: Token) -> None:
    """Give a write's token to the client: a header for programs, a cookie for browsers.

    The caller guarantees that it contains what the request presented.
    """
    has_cookies = getattr(request, "presented", token_cookies.Presented()).contained
    token = outcomes.shortened(token, most=token_cookies.MOST_PENDING if has_cookies else MOST_PENDING)
    encoded = token.encode()
    response[consistency.HEADER] = encoded
    token_cookies.replace_presented(request, response, encoded)
