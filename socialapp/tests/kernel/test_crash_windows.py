"""A worker is killed between any two steps of applying, and the next one repairs what it left: in each window."""

import orjson
import pytest

from posts import fragments
from posts.commands import CreateComment, CreatePost, LikePost
from posts.models import Comment, Post
from socialapp.cqrs import log, outcomes
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.models import CommandResult, Event
from socialapp.cqrs.submit import submit
from socialapp.tests.kernel import mortal

WINDOWS = {
    "before it has read": "after socialapp.cqrs.log.clear_wake",
    "after it has read": "after socialapp.cqrs.log.read",
    "before the commit": "after socialapp.cqrs.effects.perform",
    "after the commit": "before socialapp.cqrs.settle.settle",
    "after the invalidation": "after socialapp.cqrs.settle.settle",
    "after the publication": "after socialapp.cqrs.log.publish",
    "after the acknowledgement": "after socialapp.cqrs.log.acknowledge",
}


def shown(post_id) -> tuple[int, int]:
    """(likes, comments) as a reader of the cache sees them; fills it when they are not there."""
    document = orjson.loads(fragments.posts.get(post_id).body)
    return document["like_count"], document["comment_count"]


@pytest.mark.parametrize("window", WINDOWS)
def test_the_next_worker_repairs_what_a_killed_one_left(author, drain_all, window):
    post = submit(CreatePost("before the crash"), actor_id=author).resource_id
    drain_all()
    assert shown(post) == (0, 0), "the cache holds what is about to become stale"
    accepted = [
        submit(LikePost(), actor_id=author, resource_id=post),
        submit(CreateComment(str(post), "a comment"), actor_id=author),
        submit(LikePost(), actor_id=author, resource_id=new_id(partition_of(post))),
    ]

    assert mortal.run(partition_of(post), WINDOWS[window]) == mortal.KILLED
    drain_all()

    row = Post.objects.get(pk=post)
    assert (row.like_count, row.comment_count, row.sequence) == (1, 1, 3)
    assert Comment.objects.filter(post=post).count() == 1
    ids = [one.command_id for one in accepted]
    assert CommandResult.objects.filter(pk__in=ids).count() == 3
    assert Event.objects.filter(command_id__in=ids).count() == 2
    found = outcomes.lookup(ids)
    assert [found[i].status for i in ids] == ["applied", "applied", "rejected"]
    assert all(found[i].confirmed for i in ids)
    assert log.backlog(partition_of(post)) == 0
    assert shown(post) == (1, 1), "what the cache held is gone"
