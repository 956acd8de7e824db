"""Large bodies are for operators: anybody else's is refused before it is parsed. Used by the write pool."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from socialapp.cqrs.http.guard import LARGEST_BODY
from socialapp.cqrs.http.problems import to_http
from socialapp.cqrs.problems import TooLarge


def uploads_of_staff(get_response: Callable) -> Callable:
    """Middleware before Django's CSRF check, which parses the body of a form to find its token."""

    def middleware(request: HttpRequest) -> HttpResponse:
        return get_response(request)

    middleware.process_view = _refuse_strangers
    return middleware


def _refuse_strangers(request: HttpRequest, *_) -> HttpResponse | None:
    if int(request.META.get("CONTENT_LENGTH") or 0) > LARGEST_BODY and not request.user.is_staff:
        return to_http(TooLarge(f"A body may have {LARGEST_BODY // 1024**2} MiB; sign in as an operator to send more."))
    return None
