"""The rows that handlers lock and write. Always in id order, so that two batches cannot deadlock."""

from collections.abc import Iterable
from uuid import UUID

import orjson
from django.db import connections

from posts.models import Post
from socialapp.accounts.models import User
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.problems import AccountGone, Gone, NotFound


def lock_posts(post_ids: Iterable[UUID]) -> dict[UUID, Post]:
    """Posts by id, locked until the transaction ends; deleted ones too."""
    rows = Post.objects.select_for_update(no_key=True).filter(pk__in=set(post_ids)).order_by("pk")
    return {post.pk: post for post in rows}


def insert_posts(posts: list[Post]) -> None:
    """New posts; one that is there already stays as it is. bulk_create was a third of what applying them costs."""
    if not posts:
        return
    rows = [
        {
            "id": post.pk,
            "author_id": post.author_id,
            "text": post.text,
            "hashtags": post.hashtags,
            "created_at": post.created_at,
        }
        for post in posts
    ]
    with connections["default"].cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO posts_post
                (id, author_id, text, hashtags, created_at, like_count, comment_count, version, sequence)
            SELECT *, 0, 0, 1, 1 FROM json_to_recordset(%s::json) AS new (
                id uuid, author_id uuid, text text, hashtags text[], created_at timestamptz)
            ON CONFLICT DO NOTHING
            """,
            [orjson.dumps(rows).decode()],
        )


def living(posts: dict[UUID, Post], post_id: UUID, envelope: Envelope, effects: Effects) -> Post | None:
    """The post, or None after telling `effects` that it is not there (any more)."""
    post = posts.get(post_id)
    if post is None:
        effects.lacks(envelope, post_id, NotFound("There is no such post."))
        return None
    if post.deleted_at:
        effects.reject(envelope, Gone("This post was deleted."))
        return None
    return post


def by_users(envelopes: list[Envelope], effects: Effects) -> list[Envelope]:
    """The commands whose actors are there. Users come by another way than their commands, maybe a little later."""
    there = existing_users(envelope.actor_id for envelope in envelopes)
    found = []
    for envelope in envelopes:
        if envelope.actor_id in there:
            found.append(envelope)
        else:
            effects.lacks(envelope, envelope.actor_id, AccountGone())
    return found


def existing_users(user_ids: Iterable[UUID]) -> set[UUID]:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT id FROM accounts_user WHERE id = ANY(%s)", [list(set(user_ids))])
        return {row[0] for row in cursor.fetchall()}


def usernames(user_ids: Iterable[UUID]) -> dict[UUID, str]:
    return dict(User.objects.filter(pk__in=set(user_ids)).values_list("pk", "username"))


def write_counts(posts: Iterable[Post]) -> None:
    """Write back the counts and sequences of locked posts, one UPDATE for all of them."""
    posts = list(posts)
    if not posts:
        return
    rows = [
        {"id": post.pk, "likes": post.like_count, "comments": post.comment_count, "sequence": post.sequence}
        for post in posts
    ]
    with connections["default"].cursor() as cursor:
        cursor.execute(
            """
            UPDATE posts_post SET like_count = new.likes, comment_count = new.comments, sequence = new.sequence
            FROM json_to_recordset(%s::json) AS new (id uuid, likes int, comments int, sequence bigint)
            WHERE posts_post.id = new.id
            """,
            [orjson.dumps(rows).decode()],
        )
