"""Creating, editing and deleting posts."""

import re
from datetime import datetime

from posts.commands import CreatePost, DeletePost, EditPost
from posts.events import PostCreated, PostDeleted, PostEdited
from posts.handlers.rows import insert_posts, living, lock_posts, usernames
from posts.models import Post
from socialapp.cqrs.commands import Envelope, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.problems import AccountGone, Forbidden, Invalid, Overtaken, Stale

HASHTAG = re.compile(r"(?<![\w&])#(\w{1,100})")
MOST_HASHTAGS = 30


def hashtags_of(text: str) -> list[str]:
    """The tags of a text in lower case, in their order, each once."""
    return list(dict.fromkeys(tag.lower() for tag in HASHTAG.findall(text)))[:MOST_HASHTAGS]


@handles(CreatePost)
def create_post(envelopes: list[Envelope], effects: Effects) -> None:
    names = usernames(envelope.actor_id for envelope in envelopes)
    rows = []
    for envelope in envelopes:
        command = envelope.command
        if envelope.actor_id not in names:
            effects.lacks(envelope, envelope.actor_id, AccountGone())
        elif command.media_ids:
            effects.reject(envelope, Invalid("There is no such upload of yours.", code="media_not_found"))
        else:
            post = _new_post(envelope, effects.time_of(envelope))
            rows.append(post)
            event = PostCreated(
                str(post.pk), str(post.author_id), names[post.author_id], post.text, tuple(post.hashtags)
            )
            effects.emit(envelope, event, aggregate_id=post.pk, aggregate_version=1)
    insert_posts(rows)


def _new_post(envelope: Envelope, created_at: datetime) -> Post:
    text = envelope.command.text
    return Post(
        id=envelope.resource_id,
        author_id=envelope.actor_id,
        text=text,
        hashtags=hashtags_of(text),
        created_at=created_at,
    )


@handles(EditPost)
def edit_post(envelopes: list[Envelope], effects: Effects) -> None:
    posts = lock_posts(envelope.resource_id for envelope in envelopes)
    for envelope in envelopes:
        post = _changeable(posts, envelope, effects)
        if post is None:
            continue
        post.text = envelope.command.text
        post.hashtags = hashtags_of(post.text)
        post.edited_at = effects.time_of(envelope)
        post.version += 1
        post.sequence += 1
        event = PostEdited(str(post.pk), post.text, tuple(post.hashtags))
        effects.emit(envelope, event, aggregate_id=post.pk, aggregate_version=post.sequence)
    fields = ["text", "hashtags", "edited_at", "version", "sequence"]
    Post.objects.bulk_update(posts.values(), fields, batch_size=500)


@handles(DeletePost)
def delete_post(envelopes: list[Envelope], effects: Effects) -> None:
    posts = lock_posts(envelope.resource_id for envelope in envelopes)
    names = usernames(post.author_id for post in posts.values())
    for envelope in envelopes:
        post = _changeable(posts, envelope, effects)
        if post is None:
            continue
        post.deleted_at = effects.time_of(envelope)
        post.sequence += 1
        event = PostDeleted(str(post.pk), str(post.author_id), names[post.author_id])
        effects.emit(envelope, event, aggregate_id=post.pk, aggregate_version=post.sequence)
    Post.objects.bulk_update(posts.values(), ["deleted_at", "sequence"], batch_size=500)


def _changeable(posts: dict, envelope: Envelope, effects: Effects) -> Post | None:
    """The post, if the actor may change the version that they have seen; else the command is rejected."""
    command = envelope.command
    post = living(posts, envelope.resource_id, envelope, effects)
    if post is None:
        return None
    if post.author_id != envelope.actor_id and not command.moderated:
        effects.reject(envelope, Forbidden("Only the author may change a post."))
        return None
    if command.expected_version not in (None, post.version):
        effects.reject(envelope, Stale(f"The post is at version {post.version} by now; read it again."))
        return None
    if command.expected_version is None and effects.is_overtaken(envelope, post.edited_at):
        effects.reject(envelope, Overtaken("The post was edited by a later command; read it, and send yours again."))
        return None
    return post
