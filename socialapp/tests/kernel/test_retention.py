"""Applied commands stay in the log for a while, can be read again, and are trimmed from its head only."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from posts.commands import CreatePost, LikePost
from posts.models import Post
from socialapp.cqrs import apply, keys, log, retention, valkey
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.models import CommandResult
from socialapp.cqrs.submit import submit

PARTITION = 5


def likes(author, count: int) -> list:
    post = new_id(PARTITION)
    return [submit(LikePost(), actor_id=author, resource_id=post) for _ in range(count)]


def length() -> int:
    return valkey.command_log().xlen(keys.stream(PARTITION))


def lag() -> int | None:
    (group,) = valkey.command_log().xinfo_groups(keys.stream(PARTITION))
    return group["lag"]


@pytest.fixture
def keep_nothing(settings):
    settings.LOG_RETENTION = -1


def test_what_was_applied_stays_until_it_is_old(author, drain_all, settings):
    likes(author, 3)
    drain_all()
    retention.trim()
    assert (length(), log.backlog(PARTITION)) == (3, 0)
    settings.LOG_RETENTION = -1
    retention.trim()
    # The last one that was delivered stays: the group stands on it.
    assert (length(), log.backlog(PARTITION)) == (1, 0)


def test_what_nobody_has_applied_is_never_trimmed(author, drain_all, keep_nothing):
    likes(author, 2)
    assert retention.trim() == 0, "no worker has looked yet"
    drain_all()
    likes(author, 3)
    log.read(PARTITION, limit=2)
    retention.trim()
    assert length() == 3, "two that a worker holds, and one that nobody has read"
    assert log.backlog(PARTITION) == 3
    assert lag() == 1, "the server still knows"
    drain_all()
    assert log.backlog(PARTITION) == 0


def test_too_many_are_trimmed_before_their_time(author, drain_all, settings):
    settings.LOG_MOST_RETAINED = 200
    stream, pipeline = keys.stream(PARTITION), valkey.command_log().pipeline(transaction=False)
    for number in range(1000):
        pipeline.xadd(stream, {"c": b"x", "s": number})
    pipeline.execute()
    entries = log.read(PARTITION, limit=900)
    assert retention.trim() == 0
    log.acknowledge(PARTITION, entries)
    retention.trim()
    assert 200 <= length() <= 300, "whole nodes of 100 go"
    assert log.backlog(PARTITION) == 100


def test_commands_that_a_promotion_has_lost_are_applied_again(author, drain_all):
    post = submit(CreatePost("lost"), actor_id=author)
    partition = partition_of(post.command_id)
    drain_all()
    # given a promoted replica that has not got the last transaction
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM cqrs_event WHERE command_id = %s", [post.command_id])
    CommandResult.objects.filter(pk=post.command_id).delete()
    Post.objects.filter(pk=post.resource_id).delete()
    # when the log is read again
    since = timezone.now() - timedelta(minutes=1)
    assert retention.rewind(partition, since, dry_run=True) == 1
    assert log.backlog(partition) == 0
    assert retention.rewind(partition, since) == 1
    assert log.backlog(partition) == 1
    drain_all()
    # then the post is back
    assert Post.objects.get(pk=post.resource_id).text == "lost"


def test_reading_again_what_was_applied_changes_nothing(author, drain_all):
    post = submit(CreatePost("once"), actor_id=author).resource_id
    drain_all()
    submit(LikePost(), actor_id=author, resource_id=post)
    drain_all()
    version = Post.objects.get(pk=post).version
    retention.rewind(partition_of(post), timezone.now() - timedelta(minutes=1))
    assert (log.backlog(partition_of(post)), apply.drain(partition_of(post))) == (2, False)
    row = Post.objects.get(pk=post)
    assert (row.version, row.like_count, log.backlog(partition_of(post))) == (version, 1, 0)


def test_a_rewind_never_skips_what_nobody_has_read(author):
    (like,) = likes(author, 1)
    assert retention.rewind(PARTITION, timezone.now() - timedelta(minutes=1)) == 0, "no worker has looked yet"
    apply.drain(PARTITION)
    likes(author, 2)
    assert retention.rewind(PARTITION, timezone.now() + timedelta(minutes=1)) == 0
    assert log.backlog(PARTITION) == 2


def test_only_what_came_since_is_read_again(author, drain_all):
    likes(author, 2)
    drain_all()
    first, second = valkey.command_log().xrange(keys.stream(PARTITION))
    later = int(second[0].split(b"-")[0]) + 1
    valkey.command_log().xadd(keys.stream(PARTITION), {"c": b"x", "s": 1}, id=f"{later}-0")
    log.acknowledge(PARTITION, log.read(PARTITION, limit=500))
    assert retention.rewind(PARTITION, datetime.fromtimestamp(later / 1000, UTC)) == 1
    assert (log.backlog(PARTITION), lag()) == (1, 1)
