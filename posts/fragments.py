"""Posts and comments as the API shows them, and the lists of them."""

from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from posts import queries
from posts.events import author_list_key, comment_key, post_key
from socialapp.accounts.events import AccessSet, ProfileEdited, UserRegistered
from socialapp.accounts.queries import get_user_id
from socialapp.cqrs import routing
from socialapp.cqrs.cursors import encode_cursor
from socialapp.cqrs.events import makes_stale
from socialapp.cqrs.fragments import DELETED, Entities, Lists, Page, encode
from socialapp.cqrs.problems import Gone, NotFound

# Rows looked up at once when a profile's change makes all of an author's words stale.
FAN_OUT = 1000


def _author(row: dict) -> dict:
    return {
        "id": row["author_id"],
        "username": row["author__username"],
        "name": row["author__name"],
        "avatar_url": None,
    }


def _post_entry(row: dict) -> bytes:
    if row["deleted_at"]:
        return DELETED
    document = {
        "id": row["id"],
        "text": row["text"],
        "author": _author(row),
        "created_at": row["created_at"],
        "edited_at": row["edited_at"],
        "like_count": row["like_count"],
        "comment_count": row["comment_count"],
        "hashtags": row["hashtags"],
        "media": [],
    }
    return encode(document, row["version"])


def _comment_entry(row: dict) -> bytes:
    if row["deleted_at"]:
        return DELETED
    document = {
        "id": row["id"],
        "post_id": row["post_id"],
        "text": row["text"],
        "author": _author(row),
        "created_at": row["created_at"],
    }
    return encode(document)


def load_posts(post_ids: Sequence[str], using: str) -> dict[str, bytes]:
    return {str(row["id"]): _post_entry(row) for row in queries.get_posts(post_ids, using)}


def load_comments(comment_ids: Sequence[str], using: str) -> dict[str, bytes]:
    return {str(row["id"]): _comment_entry(row) for row in queries.get_comments(comment_ids, using)}


def _page(ids: list[UUID], limit: int) -> Page:
    """`ids` holds one more than the limit when there is a next page."""
    shown = ids[:limit]
    cursor = encode_cursor(shown[-1]) if len(ids) > limit else None
    return Page(tuple(map(str, shown)), cursor)


def load_public(_: str, limit: int, before: UUID | None, using: str) -> Page:
    return _page(queries.list_posts(author_id=None, before=before, limit=limit + 1, using=using), limit)


def load_by_author(username: str, limit: int, before: UUID | None, using: str) -> Page:
    """Raises NotFound."""
    author_id = get_user_id(username, using)
    if author_id is None:
        raise NotFound("There is no such user.")
    return _page(queries.list_posts(author_id=author_id, before=before, limit=limit + 1, using=using), limit)


def load_comments_of(post_id: str, limit: int, before: UUID | None, using: str) -> Page:
    """Raises NotFound or Gone."""
    _require_post(post_id, using)
    return _page(queries.list_comments(post_id=post_id, before=before, limit=limit + 1, using=using), limit)


def load_likes_of(post_id: str, limit: int, before: int | None, using: str) -> Page:
    """Names of users, latest like first. Raises NotFound or Gone."""
    _require_post(post_id, using)
    likes = queries.list_likes(post_id=post_id, before=before, limit=limit + 1, using=using)
    following = encode_cursor(likes[limit - 1][0]) if len(likes) > limit else None
    return Page(tuple(username.lower() for _, username in likes[:limit]), following)


def _require_post(post_id: str, using: str) -> None:
    rows = queries.get_posts([post_id], using)
    if not rows:
        raise NotFound("There is no such post.")
    if rows[0]["deleted_at"]:
        raise Gone("This post was deleted.")


posts = Entities(resource="posts", name="post", load=load_posts)
comments = Entities(resource="comments", name="comment", load=load_comments)
public_posts = Lists(resource="posts", scope="public", name="list", load=load_public, order=UUID)
posts_by_author = Lists(resource="posts", scope="author", name="user", load=load_by_author, order=UUID)
comments_of_post = Lists(resource="posts", scope="comments", name="post", load=load_comments_of, order=UUID)
likes_of_post = Lists(resource="posts", scope="likes", name="post", load=load_likes_of, order=int)


@makes_stale(UserRegistered, AccessSet)
def list_of_the_author(event: UserRegistered | AccessSet) -> Iterator[str]:
    """It may have been remembered as one that does not exist."""
    yield author_list_key(event.username)


@makes_stale(ProfileEdited)
def words_of_the_author(event: ProfileEdited) -> Iterator[str]:
    """A post shows its author's name: all that they have written is stale."""
    yield from map(post_key, _all_ids(queries.list_ids_by_author, event.username))
    yield from map(comment_key, _all_ids(queries.list_comment_ids_by_author, event.username))


def _all_ids(list_ids: Callable, username: str) -> Iterator[UUID]:
    before = None
    while ids := list_ids(username=username, before=before, limit=FAN_OUT, using=routing.PRIMARY):
        yield from ids
        before = ids[-1]
