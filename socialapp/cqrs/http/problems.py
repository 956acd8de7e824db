"""Every error becomes an RFC 9457 problem document: Problems, DRF's exceptions, Django's error pages."""

import logging
from http import HTTPStatus

import orjson
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation, ValidationError
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.template.loader import render_to_string
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from socialapp.cqrs import routing, valkey
from socialapp.cqrs.clocks import StampAhead
from socialapp.cqrs.failures import is_infrastructure
from socialapp.cqrs.http import token_cookies
from socialapp.cqrs.problems import NotFound, Problem, TooLarge, Unavailable

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


def to_http(problem: Problem) -> HttpResponse:
    """The document as a plain Django response, for answers that DRF does not make."""
    response = HttpResponse(orjson.dumps(problem.document()), status=problem.status, content_type=MEDIA_TYPE)
    for name, value in _headers(problem).items():
        response[name] = value
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    return response


def problem_response(error: Exception, context: dict) -> HttpResponse | None:
    """DRF's EXCEPTION_HANDLER. None for what nobody expected: that is a 500 with a traceback in the log."""
    problem = to_problem(error)
    if problem is None:
        return None
    response = _response(problem, context["request"])
    if isinstance(problem, StampAhead):
        token_cookies.drop_stamp(context["request"], response)
    return response


def _response(problem: Problem, request: Request) -> HttpResponse:
    renderer = getattr(request, "accepted_renderer", None)
    if getattr(renderer, "format", None) != "api":
        # Not through the view's renderers, which may make YAML of it (the schema) or look for a template (the docs).
        return to_http(problem)
    headers = _headers(problem) | {"Cache-Control": "no-store"}
    return Response(problem.document(), status=problem.status, headers=headers, content_type=MEDIA_TYPE)


def _headers(problem: Problem) -> dict[str, str]:
    if problem.status != 401:
        return problem.headers
    # Not DRF's auth_header: its dispatch sets that, and plain reads go without it.
    scheme = api_settings.DEFAULT_AUTHENTICATION_CLASSES[0]().authenticate_header(None)
    return {"WWW-Authenticate": scheme} | problem.headers


def to_problem(error: Exception) -> Problem | None:
    match error:
        case Problem():
            return error
        case exceptions.ValidationError():
            return _validation(error)
        case exceptions.APIException():
            return _from_drf(error)
    return _from_django(error) or _from_infrastructure(error)


def _from_django(error: Exception) -> Problem | None:
    match error:
        case Http404():
            return NotFound()
        case RequestDataTooBig():
            return TooLarge()
        case SuspiciousOperation() | BadRequest():
            return Problem("The request is malformed, or has too many fields.")
        case ValidationError() | DataError():
            # From where nobody validates, as in the admin's addresses: an id that is none, NUL in a text.
            logger.warning("refused by a column: %s", error)
            return Problem("The request holds a value that cannot be.")
        case UnreadablePostError():
            return Problem("The body broke off.")
    return None


def _from_infrastructure(error: Exception) -> Problem | None:
    if isinstance(error, OperationalError | InterfaceError) and is_infrastructure(error):
        logger.error("a database did not answer: %s", error)
        routing.fail_over(error)
        return Unavailable("A database did not answer in time.")
    if isinstance(error, OSError) and error.filename is not None:
        # A socket's errors name no file.
        logger.error("a file could not be read or written: %s", error)
        return Unavailable("A file of the server could not be read or written.")
    if isinstance(error, valkey.UNREACHABLE):
        logger.error("a Valkey did not answer: %s", error)
        return Unavailable("A store did not answer in time.")
    return None


def _from_drf(error: exceptions.APIException) -> Problem:
    headers = {}
    if getattr(error, "wait", None):
        headers["Retry-After"] = f"{int(error.wait) + 1}"
    code = error.get_codes()
    code = code if isinstance(code, str) else error.default_code
    detail = error.detail if isinstance(error.detail, str) else error.default_detail
    # Not DRF's default_detail, which may be a pattern ('Method "{method}" not allowed.').
    title = HTTPStatus(error.status_code).phrase
    return Problem(str(detail), status=error.status_code, code=code, title=title, headers=headers)


def _validation(error: exceptions.ValidationError) -> Problem:
    errors = list(_flatten("", error.get_full_details()))
    detail = "; ".join(f"{e['field']}: {e['message']}" if e["field"] else e["message"] for e in errors[:3])
    return Problem(detail, status=400, code="validation_error", title="The request is not valid", errors=errors)


def _flatten(field: str, details: object):
    """DRF's nested details as {"field": "items.0.quantity", "code", "message"}."""
    if _is_leaf(details):
        yield {"field": field, "code": details["code"], "message": str(details["message"])}
    elif isinstance(details, dict):
        for name, inner in details.items():
            name = "" if name == "non_field_errors" else str(name)
            yield from _flatten(f"{field}.{name}".strip("."), inner)
    elif isinstance(details, list):
        for index, inner in enumerate(details):
            nested = isinstance(inner, dict) and not _is_leaf(inner)
            yield from _flatten(f"{field}.{index}" if nested else field, inner)


def _is_leaf(details: object) -> bool:
    """Not a body with a field that is called `message`."""
    return isinstance(details, dict) and isinstance(details.get("message"), str)


def negotiated(request: HttpRequest, problem: Problem) -> HttpResponse:
    """The document, or the same as a page where a browser asks outside of any view."""
    if not request.META.get("HTTP_ACCEPT", "").lstrip().lower().startswith("text/html"):
        return to_http(problem)
    context = {"problem": problem.document(), "request_id": getattr(request, "request_id", "")}
    headers = problem.headers | {"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff"}
    return HttpResponse(render_to_string("socialapp/problem.html", context), status=problem.status, headers=headers)


def unhandled(request: HttpRequest, error: Exception) -> HttpResponse | None:
    """A middleware's process_exception, for views that are not DRF's. None: that is a 500."""
    problem = to_problem(error)
    return problem and negotiated(request, problem)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return negotiated(request, to_problem(exception) or Problem())


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return negotiated(request, Problem(status=403, code="forbidden", title="Forbidden"))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return negotiated(request, NotFound("Nothing lives at this address."))


def server_error(request: HttpRequest) -> HttpResponse:
    return negotiated(request, Problem("The error was logged.", status=500, code="internal", title="Internal error"))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    title = "The form's CSRF token does not match"
    detail = f"{reason} Go back, load the page again and send the form once more."
    return negotiated(request, Problem(detail.strip(), status=403, code="csrf_failed", title=title))
