"""GET /commands/{id}: what became of one's own command."""

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from socialapp.cqrs import outcomes
from socialapp.cqrs.http import resources
from socialapp.cqrs.http.preferences import wait_preference
from socialapp.cqrs.http.resources import Resource
from socialapp.cqrs.http.schemas import CommandAnswer
from socialapp.cqrs.outcomes import Outcome
from socialapp.cqrs.problems import NotFound

resources.declare(Resource("command", route="command", entities=None))


class CommandStatus(APIView):
    """What became of a command. Only its actor may look; to all others it does not exist."""

    name = "Command"

    permission_classes = [IsAuthenticated]

    @extend_schema(responses=CommandAnswer)
    def get(self, request, command_id):
        outcome = self._own(request, outcomes.lookup([command_id]).get(command_id))
        if not outcome.settled:
            # Only now: waiting for what is nobody's, or another's, would cost a thread for nothing.
            waited = outcomes.wait([command_id], seconds=wait_preference(request) or 0)
            # The log may have gone away meanwhile; then what it said before still holds.
            outcome = waited.get(command_id, outcome)
        headers = {"Cache-Control": "private, no-store"}
        if not outcome.settled:
            headers["Retry-After"] = "1"
        return Response(self._document(request, command_id, outcome), headers=headers)

    def _own(self, request, outcome: Outcome | None) -> Outcome:
        if outcome is None or outcome.actor_id != str(request.user.pk):
            raise NotFound("There is no such command of yours.")
        return outcome

    def _document(self, request, command_id, outcome: Outcome) -> dict:
        document = {
            "id": command_id,
            "type": outcome.type,
            "status": outcome.status,
            "resource": resources.reference(request, outcome.resource_type, outcome.resource_id),
        }
        if outcome.problem:
            document["problem"] = outcome.problem
        if outcome.settled:
            token = outcome.token()
            if not outcome.confirmed:
                token = token.awaiting(command_id, 0)
            document["consistency_token"] = token.encode()
        return document
