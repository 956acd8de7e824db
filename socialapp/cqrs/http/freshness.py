"""The middleware of consistency tokens: what a request presents decides what its reads may be served from."""

from django.http import HttpRequest, HttpResponse

from socialapp.cqrs import consistency, outcomes, roles
from socialapp.cqrs.consistency import BadToken, Token
from socialapp.cqrs.http.preferences import wait_preference
from socialapp.cqrs.http.problems import to_http
from socialapp.cqrs.ids import partition_of
from socialapp.cqrs.routing import Requirement, requiring


def freshness(get_response):
    """Settle the presented token before a read; answer with the token and with what the read could promise."""
    may_write = roles.may_write()

    def middleware(request: HttpRequest) -> HttpResponse:
        try:
            token = request.consistency_token = consistency.presented(request)
        except BadToken as problem:
            return to_http(problem)
        if may_write and request.method not in ("GET", "HEAD"):
            return get_response(request)
        if token is None:
            response = get_response(request)
            response["Consistency"] = "eventual"
            return response
        fresher, kept = settled(token, wait_preference(request))
        request.consistency_token = fresher
        with requiring(Requirement(fresher, skip_cache=bool(fresher.pending))):
            response = get_response(request)
        _tell(response, fresher, kept)
        if consistency.COOKIE in request.COOKIES and fresher != token:
            # Else the browser would ask about the same settled commands for as long as the cookie lives.
            remember(request, response, fresher)
        return response

    return middleware


def _tell(response: HttpResponse, token: Token, kept: bool) -> None:
    """Say what the read could promise; what carries somebody's token is stored by no shared cache."""
    response["Consistency"] = "strong" if kept else "eventual"
    response[consistency.HEADER] = token.encode()
    if response.has_header("X-Accel-Expires"):
        del response["X-Accel-Expires"]
        response["Cache-Control"] = "private, no-cache"


def settled(token: Token, seconds: float | None) -> tuple[Token, bool]:
    """Wait for the token's pending commands; (the token that now holds, whether all of it can be kept).

    A command stays pending in the token until its effect is committed and out of every cache.
    """
    if not token.pending:
        return token, True
    found = outcomes.wait(token.pending.values(), seconds=outcomes.wait_default(seconds))
    done = [command_id for command_id, outcome in found.items() if outcome.settled]
    for command_id in done:
        token = token.merged(found[command_id].token())
    confirmed = {partition_of(command_id) for command_id in done if found[command_id].confirmed}
    kept = len(done) == len(token.pending)
    return token.without(confirmed), kept


def remember(request: HttpRequest, response: HttpResponse, token: Token) -> None:
    """Give a write's token to the client: a header for programs, a cookie for browsers."""
    encoded = token.encode()
    response[consistency.HEADER] = encoded
    response.set_cookie(
        consistency.COOKIE,
        encoded,
        max_age=consistency.COOKIE_AGE,
        httponly=True,
        samesite="Lax",
        secure=request.is_secure(),
    )
