"""Submitting and applying: exactly once, in order, poison put aside."""

import psycopg
import pytest
from django.db import connection

from posts.commands import CreateComment, CreatePost, DeletePost, EditPost, LikePost, UnlikePost
from posts.models import Comment, Like, Post
from socialapp.cqrs import apply, log, outcomes
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.models import CommandResult, DeadLetter, Event
from socialapp.cqrs.submit import submit


def outcome_of(accepted):
    return outcomes.lookup([accepted.command_id])[accepted.command_id]


def test_create_post(author, drain_all):
    accepted = submit(CreatePost("hello #World"), actor_id=author)
    assert outcome_of(accepted).status == "accepted"
    drain_all()
    outcome = outcome_of(accepted)
    assert outcome.status == "applied" and outcome.confirmed and outcome.position > 0
    post = Post.objects.get(pk=accepted.resource_id)
    assert (post.text, post.hashtags, post.author_id) == ("hello #World", ["world"], author)
    event = Event.objects.get(command_id=accepted.command_id)
    assert (event.type, event.aggregate_version) == ("PostCreated", 1)
    assert CommandResult.objects.get(pk=accepted.command_id).outcome == "applied"


def test_commands_take_the_partition_of_their_aggregate(author, drain_all):
    post = submit(CreatePost("hello"), actor_id=author)
    comment = submit(CreateComment(str(post.resource_id), "hi"), actor_id=author)
    partitions = {partition_of(i) for i in (post.command_id, post.resource_id, comment.command_id, comment.resource_id)}
    assert len(partitions) == 1


def test_a_command_that_stands_in_the_log_twice_is_applied_once(author, drain_all):
    accepted = submit(CreatePost("once"), actor_id=author)
    drain_all()
    like = submit(LikePost(), actor_id=author, resource_id=accepted.resource_id)
    again = Envelope(like.command_id, LikePost(), author, accepted.resource_id)
    log.append(again, after_stamp=0)
    drain_all()
    log.append(again, after_stamp=0)
    drain_all()
    assert Post.objects.get(pk=accepted.resource_id).like_count == 1
    assert outcome_of(like).status == "applied"
    assert log.backlog(partition_of(like.command_id)) == 0


def test_what_is_read_but_not_acknowledged_is_read_again(author, drain_all):
    accepted = submit(CreatePost("crash"), actor_id=author)
    partition = partition_of(accepted.command_id)
    assert len(log.read(partition, limit=500)) == 1, "a worker read it, and died here"
    drain_all()
    assert Post.objects.filter(pk=accepted.resource_id).exists()
    assert log.backlog(partition) == 0


def test_a_crash_between_commit_and_acknowledgement_is_repaired(author, drain_all, monkeypatch):
    accepted = submit(CreatePost("committed"), actor_id=author)

    def crash(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(apply, "finish", crash)
        apply.drain(partition_of(accepted.command_id))
    assert Post.objects.filter(pk=accepted.resource_id).exists()
    assert outcome_of(accepted).status == "accepted"
    drain_all()
    assert outcome_of(accepted).status == "applied"
    assert Event.objects.filter(command_id=accepted.command_id).count() == 1


def test_commands_on_one_aggregate_keep_their_order(author, drain_all):
    post = submit(CreatePost("first"), actor_id=author).resource_id
    submit(EditPost("second"), actor_id=author, resource_id=post)
    like = submit(LikePost(), actor_id=author, resource_id=post)
    submit(DeletePost(), actor_id=author, resource_id=post)
    late = submit(EditPost("third"), actor_id=author, resource_id=post)
    drain_all()
    row = Post.objects.get(pk=post)
    assert (row.text, row.like_count, row.deleted_at is None) == ("second", 1, False)
    assert outcome_of(like).status == "applied"
    assert (outcome_of(late).status, outcome_of(late).problem["status"]) == ("rejected", 410)


def test_the_latest_like_wins_whatever_order_it_comes_in(author, drain_all):
    post = submit(CreatePost("liked"), actor_id=author).resource_id
    for command in (LikePost(), LikePost(), UnlikePost(), LikePost(), UnlikePost()):
        submit(command, actor_id=author, resource_id=post)
    drain_all()
    assert Post.objects.get(pk=post).like_count == 0
    assert Like.objects.get(post=post, user=author).active is False


def test_a_missing_post_is_a_rejection(author, drain_all):
    accepted = submit(LikePost(), actor_id=author, resource_id=new_id())
    drain_all()
    outcome = outcome_of(accepted)
    assert (outcome.status, outcome.problem["code"]) == ("rejected", "not_found"), "at once: its partition is in order"


def test_a_poison_command_is_buried_and_its_neighbours_live(author, drain_all):
    post = submit(CreatePost("host"), actor_id=author).resource_id
    drain_all()
    good = [submit(CreateComment(str(post), f"good {n}"), actor_id=author) for n in range(3)]
    # Views refuse such a text; a handler does not look.
    poison = submit(CreateComment(str(post), "x" * 2001), actor_id=author)
    good += [submit(CreateComment(str(post), f"better {n}"), actor_id=author) for n in range(3)]
    drain_all()
    assert Comment.objects.filter(post=post).count() == 6
    assert Post.objects.get(pk=post).comment_count == 6
    assert all(outcome_of(accepted).status == "applied" for accepted in good)
    assert outcome_of(poison).status == "failed"
    letter = DeadLetter.objects.get(pk=poison.command_id)
    assert "DataError" in letter.error and "Traceback" in letter.traceback
    assert log.backlog(partition_of(post)) == 0


def test_a_partition_that_is_held_is_left_alone(author, servers):
    accepted = submit(CreatePost("later"), actor_id=author)
    partition = partition_of(accepted.command_id)
    holder = psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor, "context": None})
    with holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [apply.LOCK_SPACE, partition])
        assert apply.drain(partition) is False
        assert not Post.objects.filter(pk=accepted.resource_id).exists()
    assert apply.drain(partition) is False
    assert Post.objects.filter(pk=accepted.resource_id).exists()


def test_stamps_rise_within_a_partition_and_above_what_the_client_has_seen(author):
    post = new_id(3)
    stamps = [submit(LikePost(), actor_id=author, resource_id=post).token.stamp for _ in range(20)]
    assert stamps == sorted(set(stamps))
    ahead = Token(stamp=stamps[-1] + 4_000_000)
    assert submit(LikePost(), actor_id=author, resource_id=post, token=ahead).token.stamp == ahead.stamp + 1
