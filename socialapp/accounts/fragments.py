"""Users as the API shows them."""

from collections.abc import Sequence

from socialapp.accounts import queries
from socialapp.cqrs.fragments import Entities, encode


def user_document(row: dict) -> dict:
    return {
        "id": row["id"],
        "username": row["username"],
        "name": row["name"],
        "bio": row["bio"],
        "avatar_url": None,
        "created_at": row["date_joined"],
        "follower_count": row["follower_count"],
        "following_count": row["following_count"],
        "post_count": row["post_count"],
    }


def load_users(usernames: Sequence[str], using: str) -> dict[str, bytes]:
    """By lower-case username. Who was deactivated is shown to nobody."""
    rows = queries.get_users_by_name(usernames, using)
    return {row["username"].lower(): encode(user_document(row)) for row in rows if row["is_active"]}


users = Entities(resource="accounts", scope="user", name="user", load=load_users)
