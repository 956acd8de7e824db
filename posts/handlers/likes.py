"""Likes: the latest stamp wins, and a thousand likes on one post are one update of its row."""

from collections import defaultdict
from uuid import UUID

import orjson
from django.db import connections

from posts.commands import LikePost, UnlikePost
from posts.events import PostLiked, PostUnliked
from posts.handlers.rows import by_users, living, lock_posts, write_counts
from socialapp.cqrs import clocks
from socialapp.cqrs.commands import Envelope, handles
from socialapp.cqrs.effects import Effects


@handles(LikePost)
def like_post(envelopes: list[Envelope], effects: Effects) -> None:
    _set_likes(envelopes, effects, active=True)


@handles(UnlikePost)
def unlike_post(envelopes: list[Envelope], effects: Effects) -> None:
    _set_likes(envelopes, effects, active=False)


def _set_likes(envelopes: list[Envelope], effects: Effects, *, active: bool) -> None:
    posts = lock_posts(envelope.resource_id for envelope in envelopes)
    latest: dict[tuple[UUID, UUID], Envelope] = {}
    for envelope in by_users(envelopes, effects):
        if living(posts, envelope.resource_id, envelope, effects):
            latest[envelope.resource_id, envelope.actor_id] = envelope
    changed = _upsert(list(latest.values()), active, trusted=clocks.latest_trusted(effects.now))
    step, fact = (1, PostLiked) if active else (-1, PostUnliked)
    touched = defaultdict(int)
    for key in changed:
        post_id, user_id = key
        touched[post_id] += step
        posts[post_id].sequence += 1
        effects.emit(
            latest[key],
            fact(str(post_id), str(user_id)),
            aggregate_id=post_id,
            aggregate_version=posts[post_id].sequence,
        )
    for post_id, difference in touched.items():
        posts[post_id].like_count += difference
    write_counts(posts[post_id] for post_id in touched)


def _upsert(envelopes: list[Envelope], active: bool, *, trusted: int) -> list[tuple[UUID, UUID]]:
    """Set likes where the stamp is newer; (post, user) of those that were not so before.

    A kept stamp above `trusted` was made by a clock that was ahead: the next one with a right clock replaces it.
    """
    rows = [{"post_id": e.resource_id, "user_id": e.actor_id, "stamp": e.stamp} for e in envelopes]
    with connections["default"].cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO posts_like AS mine (post_id, user_id, stamp, active)
            SELECT post_id, user_id, stamp, %s
            FROM json_to_recordset(%s::json) AS new (post_id uuid, user_id uuid, stamp bigint)
            ON CONFLICT (user_id, post_id) DO UPDATE SET stamp = EXCLUDED.stamp, active = EXCLUDED.active
                WHERE mine.stamp < EXCLUDED.stamp OR (mine.stamp > %s AND EXCLUDED.stamp <= %s)
            RETURNING post_id, user_id, coalesce(old.active, false)
            """,
            [active, orjson.dumps(rows).decode(), trusted, trusted],
        )
        return [(post_id, user_id) for post_id, user_id, was_active in cursor.fetchall() if was_active != active]
