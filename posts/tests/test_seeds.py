"""The demo world agrees with itself and with the rules of posts."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db.models import Count, F, Q

from posts import fragments
from posts.commands import LikePost
from posts.handlers.posts import hashtags_of
from posts.models import Comment, Like, Post
from socialapp.accounts.commands import RegisterUser
from socialapp.accounts.models import User
from socialapp.cqrs.execute import execute
from socialapp.cqrs.ids import new_id, partition_of

SIZE = {"users": 100, "posts": 300, "comments": 700, "likes": 1_500}


def seed(**options) -> set:
    """Ids of the users that were added."""
    before = set(User.objects.values_list("pk", flat=True))
    call_command("seed", **options, stdout=StringIO())
    return set(User.objects.values_list("pk", flat=True)) - before


@pytest.fixture(scope="module")
def users(servers) -> set:
    return seed(**SIZE, seed=5)


@pytest.fixture
def posts(users) -> list[Post]:
    return list(Post.objects.filter(author__in=users).order_by("pk"))


def test_as_many_rows_as_asked_for(users, posts):
    assert len(users) == 100
    assert len(posts) == 300
    assert Comment.objects.filter(author__in=users, post__in=posts).count() == 700
    assert Like.objects.filter(user__in=users, post__in=posts, active=True).count() == 1_500


def test_counts_agree_with_rows(users, posts):
    likes = dict(Like.objects.filter(post__in=posts).values_list("post").annotate(Count("pk")))
    comments = dict(Comment.objects.filter(post__in=posts).values_list("post").annotate(Count("pk")))
    written = Counter(post.author_id for post in posts)
    for post in posts:
        assert post.like_count == likes.get(post.pk, 0)
        assert post.comment_count == comments.get(post.pk, 0)
        assert post.sequence == 1 + post.like_count + post.comment_count
    for user in User.objects.filter(pk__in=users):
        assert user.post_count == written[user.pk]
        assert user.sequence >= 1


def test_ids_carry_time_and_partition(posts):
    for post in posts:
        assert time_of(post.pk) == pytest.approx(post.created_at.timestamp(), abs=0.002)
    for comment in Comment.objects.filter(post__in=posts).select_related("post"):
        assert partition_of(comment.pk) == partition_of(comment.post_id)
        assert time_of(comment.pk) == pytest.approx(comment.created_at.timestamp(), abs=0.002)
    assert len({partition_of(post.pk) for post in posts}) == 16


def time_of(identifier) -> float:
    return (identifier.int >> 80) / 1000


def test_everything_happens_in_its_order(users, posts):
    now = datetime.now(UTC)
    assert now - timedelta(days=91) < posts[0].created_at < now - timedelta(days=60)
    assert now - timedelta(days=10) < posts[-1].created_at < now
    assert not Post.objects.filter(author__in=users, created_at__lt=F("author__date_joined")).exists()
    assert not Comment.objects.filter(post__in=posts).filter(
        Q(created_at__lt=F("post__created_at")) | Q(created_at__gt=now)
    )
    for like in Like.objects.filter(post__in=posts).select_related("post"):
        assert like.post.created_at.timestamp() * 1_000_000 - 1 <= like.stamp <= now.timestamp() * 1_000_000


def test_a_few_posts_and_authors_have_most(posts):
    likes = sorted((post.like_count for post in posts), reverse=True)
    assert sum(likes[:30]) > sum(likes) / 3
    written = [count for _, count in Counter(post.author_id for post in posts).most_common()]
    assert sum(written[:10]) > len(posts) / 3


def test_hashtags_are_those_of_the_text(posts):
    assert all(post.hashtags == hashtags_of(post.text) for post in posts)
    assert any(post.hashtags for post in posts)


def test_the_same_seed_tells_the_same_again(users, posts):
    again = Post.objects.filter(author__in=seed(**SIZE, seed=5)).order_by("pk")
    assert [post.text for post in again] == [post.text for post in posts]
    assert [post.like_count for post in again] == [post.like_count for post in posts]
    assert not {post.pk for post in again} & {post.pk for post in posts}


def test_commands_go_on_from_seeded_rows(posts):
    liker = execute(RegisterUser(f"liker_{new_id().hex[-12:]}", "!"), actor_id=None).resource_id
    post = posts[-1]
    execute(LikePost(), actor_id=liker, resource_id=post.pk)
    after = Post.objects.get(pk=post.pk)
    assert (after.like_count, after.sequence) == (post.like_count + 1, post.sequence + 1)
    assert b'"like_count":%d' % after.like_count in fragments.posts.get(post.pk).body
