"""What a batch costs does not depend on how many commands are in it, nor on how many of them meet on one row."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from posts.commands import CreateComment, CreatePost, LikePost
from posts.models import Post
from socialapp.accounts.models import User
from socialapp.cqrs import apply, log
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.models import Event
from socialapp.cqrs.submit import submit


@pytest.fixture
def post(author, drain_all):
    accepted = submit(CreatePost("popular"), actor_id=author)
    drain_all()
    return accepted.resource_id


def like(post, times: int) -> None:
    fans = User.objects.bulk_create(User(pk=(fan := new_id()), username=f"fan_{fan.hex[-25:]}") for _ in range(times))
    for fan in fans:
        submit(LikePost(), actor_id=fan.pk, resource_id=post)


def row_versions() -> int:
    """How many rows of posts were ever updated, by all committed transactions of this connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'posts_post'")
        return cursor.fetchone()[0]


def statements_of_a_batch(post) -> int:
    with CaptureQueriesContext(connection) as captured:
        apply.apply_batch(partition_of(post))
    assert log.backlog(partition_of(post)) == 0
    return len(captured)


def test_a_thousand_likes_on_one_post_are_one_update_of_its_row(post, monkeypatch):
    monkeypatch.setattr(apply, "BATCH", 1000)
    like(post, 1000)
    before = row_versions()
    apply.apply_batch(partition_of(post))
    assert row_versions() - before == 1
    assert Post.objects.get(pk=post).like_count == 1000
    versions = Event.objects.filter(aggregate_id=post).order_by("aggregate_version")
    assert list(versions.values_list("aggregate_version", flat=True)) == list(range(1, 1002))


def test_a_batch_of_likes_takes_as_many_statements_whatever_its_size(post):
    like(post, 3)
    few = statements_of_a_batch(post)
    like(post, 300)
    assert statements_of_a_batch(post) == few


def test_so_does_a_batch_of_many_types(post, author):
    like(post, 3)
    for number in range(3):
        submit(CreateComment(str(post), f"comment {number}"), actor_id=author)
    few = statements_of_a_batch(post)
    like(post, 50)
    for number in range(50):
        submit(CreateComment(str(post), f"comment {number}"), actor_id=author)
    assert statements_of_a_batch(post) == few
