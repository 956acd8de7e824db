"""Plain rows of users, from the database that the caller names."""

from collections.abc import Sequence
from uuid import UUID

from socialapp.accounts.models import User

PUBLIC = (
    "id",
    "username",
    "name",
    "bio",
    "date_joined",
    "follower_count",
    "following_count",
    "post_count",
    "is_active",
)


def get_users_by_name(usernames: Sequence[str], using: str) -> list[dict]:
    """Public columns of users; names compare without regard to case."""
    rows = User.objects.using(using).extra(where=["lower(username) = ANY(%s)"], params=[list(usernames)])
    return list(rows.values(*PUBLIC))


def get_own(user_id: UUID, using: str) -> dict | None:
    """All that a user may see of their own row."""
    return User.objects.using(using).filter(pk=user_id).values(*PUBLIC, "email", "email_verified_at").first()


def get_user_id(username: str, using: str) -> UUID | None:
    """The id of an active user, by lower-case name."""
    users = User.objects.using(using).extra(where=["lower(username) = %s"], params=[username])
    return users.filter(is_active=True).values_list("pk", flat=True).first()


def get_emails(user_ids: Sequence[UUID], using: str) -> dict[UUID, tuple[str, bool]]:
    """(address, whether it is known to be the user's) of the users who have one."""
    users = User.objects.using(using).filter(pk__in=user_ids).exclude(email="")
    rows = users.values_list("pk", "email", "email_verified_at")
    return {user_id: (email, verified_at is not None) for user_id, email, verified_at in rows}
