"""Registration: a username belongs to whoever's transaction inserts it first."""

from django.db import connections

from socialapp.accounts.commands import RegisterUser
from socialapp.accounts.events import UserRegistered
from socialapp.accounts.handlers.verification import ask_owner
from socialapp.cqrs.commands import Envelope, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.problems import Problem


class UsernameTaken(Problem):
    status, code, title = 409, "username_taken", "The username is taken"


@handles(RegisterUser)
def register_user(envelopes: list[Envelope], effects: Effects) -> None:
    inserted = _insert(envelopes, effects)
    for envelope in envelopes:
        command = envelope.command
        if envelope.resource_id not in inserted:
            effects.reject(envelope, UsernameTaken(f"Somebody else is called {command.username}."))
            continue
        if command.email:
            ask_owner(command.email)
        event = UserRegistered(command.username, command.name)
        effects.emit(envelope, event, aggregate_id=envelope.resource_id, aggregate_version=1)


def _insert(envelopes: list[Envelope], effects: Effects) -> set:
    columns = [
        [e.resource_id for e in envelopes],
        [e.command.username for e in envelopes],
        [e.command.password_hash for e in envelopes],
        [e.command.email for e in envelopes],
        [e.command.name for e in envelopes],
        [effects.time_of(e) for e in envelopes],
    ]
    with connections["default"].cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO accounts_user (id, username, password, email, name, date_joined, bio, is_staff, is_active,
                                       is_superuser, follower_count, following_count, post_count, sequence)
            SELECT *, '', false, true, false, 0, 0, 0, 1
            FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
            ON CONFLICT DO NOTHING RETURNING id
            """,
            columns,
        )
        return {row[0] for row in cursor.fetchall()}
