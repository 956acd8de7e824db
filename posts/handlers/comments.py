"""Comments on a post; each changes the post's count under the lock of its row."""

from datetime import datetime
from uuid import UUID

from posts.commands import CreateComment, DeleteComment
from posts.events import CommentCreated, CommentDeleted
from posts.handlers.rows import by_users, living, lock_posts, write_counts
from posts.models import Comment, Post
from socialapp.cqrs.commands import Envelope, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.problems import Forbidden, Gone, NotFound


@handles(CreateComment)
def create_comment(envelopes: list[Envelope], effects: Effects) -> None:
    posts = lock_posts(UUID(envelope.command.post_id) for envelope in envelopes)
    rows, touched = [], {}
    for envelope in by_users(envelopes, effects):
        post = living(posts, UUID(envelope.command.post_id), envelope, effects)
        if post is None:
            continue
        rows.append(_new_comment(envelope, post, effects.time_of(envelope)))
        post.comment_count += 1
        event = CommentCreated(str(post.pk), str(envelope.resource_id), str(envelope.actor_id), envelope.command.text)
        _emit(effects, envelope, event, post)
        touched[post.pk] = post
    Comment.objects.bulk_create(rows)
    write_counts(touched.values())


def _new_comment(envelope: Envelope, post: Post, created_at: datetime) -> Comment:
    return Comment(
        id=envelope.resource_id,
        post_id=post.pk,
        author_id=envelope.actor_id,
        text=envelope.command.text,
        created_at=created_at,
    )


@handles(DeleteComment)
def delete_comment(envelopes: list[Envelope], effects: Effects) -> None:
    wanted = {envelope.resource_id for envelope in envelopes}
    posts = lock_posts(Comment.objects.filter(pk__in=wanted).values_list("post_id", flat=True))
    comments = {c.pk: c for c in Comment.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")}
    touched = {}
    for envelope in envelopes:
        comment = _deletable(comments, envelope, effects)
        if comment is None:
            continue
        comment.deleted_at = effects.time_of(envelope)
        post = touched[comment.post_id] = posts[comment.post_id]
        post.comment_count -= 1
        _emit(effects, envelope, CommentDeleted(str(post.pk), str(comment.pk)), post)
    Comment.objects.bulk_update(comments.values(), ["deleted_at"], batch_size=500)
    write_counts(touched.values())


def _deletable(comments: dict, envelope: Envelope, effects: Effects) -> Comment | None:
    comment = comments.get(envelope.resource_id)
    if comment is None:
        effects.reject(envelope, NotFound("There is no such comment."))
    elif comment.deleted_at:
        effects.reject(envelope, Gone("This comment was deleted."))
    elif comment.author_id != envelope.actor_id and not envelope.command.moderated:
        effects.reject(envelope, Forbidden("Only the author may delete a comment."))
    else:
        return comment
    return None


def _emit(effects: Effects, envelope: Envelope, event: object, post: Post) -> None:
    post.sequence += 1
    effects.emit(envelope, event, aggregate_id=post.pk, aggregate_version=post.sequence)
