"""Setting passwords. A trigger of the table ends the user's sessions, all but the one that is kept."""

from django.db import connections

from socialapp.accounts.commands import SetPassword
from socialapp.accounts.models import User
from socialapp.cqrs.commands import Envelope, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.problems import AccountGone, Problem


class PasswordChangedMeanwhile(Problem):
    status, code, title = 409, "password_changed", "The password has changed since"


@handles(SetPassword)
def set_password(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        try:
            _set(envelope)
        except Problem as problem:
            effects.reject(envelope, problem)


def _set(envelope: Envelope) -> None:
    """Raises Problem, with nothing changed."""
    command = envelope.command
    user = User.objects.select_for_update(no_key=True).filter(pk=envelope.resource_id).first()
    if user is None:
        raise AccountGone()
    if command.former_hash not in (None, user.password):
        raise PasswordChangedMeanwhile("Another request has changed it; try again with the present one.")
    _keep(command.kept_session)
    User.objects.filter(pk=user.pk).update(password=command.password_hash)
    _keep(None)


def _keep(session: str | None) -> None:
    """Tell the trigger which session goes on."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT set_config('socialapp.kept_session', %s, true)", [session or ""])
