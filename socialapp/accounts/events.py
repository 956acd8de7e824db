"""What has happened to accounts, and which cache keys that makes stale."""

from socialapp.cqrs import keys
from socialapp.cqrs.events import event, makes_stale


@event("user", published=True)
class UserRegistered:
    username: str
    name: str


@event("user", published=True)
class ProfileEdited:
    username: str
    name: str
    bio: str


@event("user")
class AccessSet:
    username: str
    is_active: bool
    is_staff: bool


@event("user")
class PostsCounted:
    """The user's post_count has changed; written by the consumer that counts."""

    username: str
    post_count: int


def user_key(username: str) -> str:
    return keys.entry("accounts", "user", username.lower())


@makes_stale(UserRegistered, ProfileEdited, AccessSet, PostsCounted)
def user_entity(event):
    yield user_key(event.username)
