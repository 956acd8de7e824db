"""Changes to a user's own row. Rows are locked in id order, so that two batches cannot deadlock."""

from collections.abc import Callable

from socialapp.accounts.commands import EditProfile, SetAccess
from socialapp.accounts.events import AccessSet, ProfileEdited
from socialapp.accounts.models import User
from socialapp.cqrs.commands import Envelope, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.problems import AccountGone, NotFound, Overtaken


@handles(EditProfile)
def edit_profile(envelopes: list[Envelope], effects: Effects) -> None:
    _change(envelopes, effects, ["name", "bio", "profile_edited_at"], _edited)


@handles(SetAccess)
def set_access(envelopes: list[Envelope], effects: Effects) -> None:
    _change(envelopes, effects, ["is_active", "is_staff"], _access_set)


def _edited(user: User, envelope: Envelope, effects: Effects) -> ProfileEdited | None:
    command = envelope.command
    if effects.is_overtaken(envelope, user.profile_edited_at):
        effects.reject(envelope, Overtaken("The profile was edited by a later command; read it, and send yours again."))
        return None
    user.profile_edited_at = effects.time_of(envelope)
    user.name = user.name if command.name is None else command.name
    user.bio = user.bio if command.bio is None else command.bio
    return ProfileEdited(user.username, user.name, user.bio)


def _access_set(user: User, envelope: Envelope, effects: Effects) -> AccessSet:
    command = envelope.command
    user.is_active, user.is_staff = command.is_active, command.is_staff
    return AccessSet(user.username, user.is_active, user.is_staff)


def _change(envelopes: list[Envelope], effects: Effects, fields: list[str], change: Callable) -> None:
    """Lock the users, apply `change` in the order of the commands, write each row once.

    change: returns the event, or None after it has rejected the command.
    """
    wanted = {envelope.resource_id for envelope in envelopes}
    locked = User.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
    users = {user.pk: user for user in locked}
    for envelope in envelopes:
        user = users.get(envelope.resource_id)
        if user is None:
            own = envelope.resource_id == envelope.actor_id
            effects.reject(envelope, AccountGone() if own else NotFound("There is no such user."))
            continue
        event = change(user, envelope, effects)
        if event is None:
            continue
        user.sequence += 1
        effects.emit(envelope, event, aggregate_id=user.pk, aggregate_version=user.sequence)
    User.objects.bulk_update(users.values(), [*fields, "sequence"], batch_size=500)
