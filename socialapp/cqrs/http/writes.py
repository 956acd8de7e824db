"""Write views: a validated body becomes a command; 202 at once, or its outcome with `Prefer: wait=N`."""

import logging
from contextlib import suppress
from functools import cache
from uuid import UUID

from django.http import HttpRequest
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from socialapp.cqrs import outcomes
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.failures import is_infrastructure
from socialapp.cqrs.http import resources
from socialapp.cqrs.http.freshness import remember
from socialapp.cqrs.http.plain import PlainRequest
from socialapp.cqrs.http.preferences import wait_preference
from socialapp.cqrs.http.resources import Resource
from socialapp.cqrs.outcomes import Outcome
from socialapp.cqrs.problems import Problem, Unavailable
from socialapp.cqrs.routing import Requirement, requiring
from socialapp.cqrs.submit import Accepted, fingerprint_of, submit

logger = logging.getLogger(__name__)

LONGEST_KEY = 255
# A person who posts a form wants to see the result; seconds.
BROWSER_WAIT = 3.0


class CommandView(GenericAPIView):
    """Base of the views that write through the command log. A plain request goes without DRF's wrapping."""

    def initialize_request(self, request, *args, **kwargs):
        return request if isinstance(request, PlainRequest) else super().initialize_request(request, *args, **kwargs)

    def initial(self, request, *args, **kwargs):
        if not isinstance(request, PlainRequest):
            super().initial(request, *args, **kwargs)
            return
        self.format_kwarg = None
        request.authenticate(self.get_authenticators())
        self.check_permissions(request)
        self.check_throttles(request)

    def validated(self, schema: type, **options) -> dict:
        """The body, checked against `schema`. Raises ValidationError."""
        body = self.request.data
        if not options:
            # What is refused is checked again below, which words it.
            with suppress(ValidationError):
                return checker(schema).run_validation(body)
        checked = schema(data=body, context=self.get_serializer_context(), **options)
        checked.is_valid(raise_exception=True)
        return checked.validated_data

    def submit(self, command: object, resource: Resource, resource_id: UUID | None = None, *, success: int) -> Response:
        """Submit for the request's user. success: the status of a synchronous answer, 200, 201 or 204."""
        request = self.request
        accepted = submit(
            command,
            actor_id=request.user.pk,
            resource_id=resource_id,
            idempotency_key=idempotency_key(request),
            fingerprint=fingerprint_of(request.method, request.path, request.data),
            token=presented_token(request),
        )
        seconds = self._wait()
        outcome = self._outcome(accepted, seconds) if seconds else None
        response = self._answer(accepted, outcome, resource, success) if outcome and outcome.settled else None
        if response is None:
            response = self._accepted(accepted, resource)
            remember(request, response, accepted.token)
        if seconds:
            response["Preference-Applied"] = f"wait={seconds:.0f}"
        if accepted.replayed:
            response["Idempotent-Replayed"] = "true"
        return response

    def _wait(self) -> float:
        asked = wait_preference(self.request)
        if asked is None and self.request.accepted_renderer.format == "api":
            return BROWSER_WAIT
        return asked or 0.0

    def _outcome(self, accepted: Accepted, seconds: float) -> Outcome | None:
        """Return None when nothing is known of it, also because nobody could be asked: it is accepted all the same."""
        try:
            return outcomes.wait([accepted.command_id], seconds=seconds).get(accepted.command_id)
        except Exception as error:
            logger.warning("the outcome of %s could not be waited for: %s", accepted.command_id, error)
            return None

    def _accepted(self, accepted: Accepted, resource: Resource) -> Response:
        request = self.request
        href = resources.href(request, "command", accepted.command_id)
        command = {"id": accepted.command_id, "type": accepted.command_type, "status": "accepted", "href": href}
        reference = resources.reference(request, resource.type, accepted.resource_id)
        return Response(
            {"command": command, "resource": reference}, status=status.HTTP_202_ACCEPTED, headers={"Location": href}
        )

    def _answer(self, accepted: Accepted, outcome: Outcome, resource: Resource, success: int) -> Response | None:
        """Return what a synchronous API would say, or None when the resource cannot be read now.

        Raises the Problem of a command that was rejected or failed.
        """
        token = accepted.token.merged(outcome.token())
        if outcome.confirmed:
            token = token.without([accepted.command_id])
        require_applied(outcome)
        try:
            with requiring(Requirement(token, skip_cache=not outcome.confirmed)):
                response = self._resource(outcome.resource_id, resource, success)
        except Exception as error:
            if not (isinstance(error, Unavailable) or is_infrastructure(error)):
                raise
            logger.warning("what %s changed could not be read: %s", accepted.command_id, error)
            return None
        remember(self.request, response, token)
        return response

    def _resource(self, resource_id: str, resource: Resource, success: int) -> Response:
        if success == status.HTTP_204_NO_CONTENT:
            return Response(status=success)
        fragment = resource.entities.get(resource_id)
        response = Response(fragment.body, status=success, headers={"ETag": fragment.etag.decode()})
        if success == status.HTTP_201_CREATED:
            response["Location"] = resources.href(self.request, resource.type, resource_id)
        return response


@cache
def checker(schema: type) -> Serializer:
    """One for all requests, as it keeps nothing of them: to copy the fields takes longer than to check a body."""
    return schema()


def require_applied(outcome: Outcome) -> None:
    """Raise the problem of a command that was rejected or failed."""
    if outcome.problem:
        raise Problem.from_document(outcome.problem)
    if outcome.status == "failed":
        raise Problem("It was set aside for an operator.", status=500, code="command_failed", title="Command failed")


def idempotency_key(request: HttpRequest) -> str | None:
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not 1 <= len(key) <= LONGEST_KEY:
        raise Problem(f"Idempotency-Key: 1 to {LONGEST_KEY} characters.", code="invalid_idempotency_key")
    return key


def presented_token(request: HttpRequest) -> Token | None:
    return getattr(request, "consistency_token", None)
