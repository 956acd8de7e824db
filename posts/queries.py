"""Plain rows of posts, from the database that the caller names. Lists are keyset pages, never OFFSET."""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import QuerySet

from posts.models import Comment, Like, Post

AUTHOR = ("author_id", "author__username", "author__name")
POST = (
    "id",
    "text",
    "hashtags",
    "created_at",
    "edited_at",
    "deleted_at",
    "like_count",
    "comment_count",
    "version",
    *AUTHOR,
)
COMMENT = ("id", "post_id", "text", "created_at", "deleted_at", *AUTHOR)


def get_posts(post_ids: Sequence[str], using: str) -> list[dict]:
    """Posts by id, deleted ones too (they are told apart from those that never were)."""
    return list(Post.objects.using(using).filter(pk__in=post_ids).values(*POST))


def get_comments(comment_ids: Sequence[str], using: str) -> list[dict]:
    return list(Comment.objects.using(using).filter(pk__in=comment_ids).values(*COMMENT))


def list_posts(*, author_id: UUID | None, before: UUID | None, limit: int, using: str) -> list[UUID]:
    """Ids of living posts, newest first; of one author, or of all."""
    posts = Post.objects.using(using).filter(deleted_at__isnull=True)
    if author_id is not None:
        posts = posts.filter(author_id=author_id)
    return _ids_before(posts, before, limit)


def list_comments(*, post_id: str, before: UUID | None, limit: int, using: str) -> list[UUID]:
    comments = Comment.objects.using(using).filter(post_id=post_id, deleted_at__isnull=True)
    return _ids_before(comments, before, limit)


def list_likes(*, post_id: str, before: int | None, limit: int, using: str) -> list[tuple[int, str]]:
    """(stamp, username) of those who like a post, latest first."""
    likes = Like.objects.using(using).filter(post_id=post_id, active=True)
    if before is not None:
        likes = likes.filter(stamp__lt=before)
    return list(likes.order_by("-stamp").values_list("stamp", "user__username")[:limit])


def list_liked(*, user_id: UUID, post_ids: Sequence[str], using: str) -> set[UUID]:
    """Which of `post_ids` a user likes."""
    likes = Like.objects.using(using).filter(user_id=user_id, post_id__in=post_ids, active=True)
    return set(likes.values_list("post_id", flat=True))


def list_ids_by_author(*, username: str, before: UUID | None, limit: int, using: str) -> list[UUID]:
    """Ids of an author's posts, living or not, for invalidation in batches."""
    posts = Post.objects.using(using).filter(author__username=username)
    return _ids_before(posts, before, limit)


def list_comment_ids_by_author(*, username: str, before: UUID | None, limit: int, using: str) -> list[UUID]:
    return _ids_before(Comment.objects.using(using).filter(author__username=username), before, limit)


def _ids_before(rows: QuerySet, before: object, limit: int) -> list[UUID]:
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows.order_by("-pk").values_list("pk", flat=True)[:limit])
