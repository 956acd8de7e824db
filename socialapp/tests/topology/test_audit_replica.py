"""A replica that lags is counted as behind, and is no violation of the cache's protocol."""

import pytest

from posts import fragments
from posts.commands import CreatePost
from posts.events import post_key
from socialapp.cqrs import audit
from socialapp.cqrs.audit import BEHIND, CACHE, Look, within
from socialapp.cqrs.submit import submit


@pytest.fixture
def look_at_new_post(author, drain_all):
    def look_at() -> Look:
        post = submit(CreatePost("new"), actor_id=author).resource_id
        drain_all()
        fragments.posts.get(post)
        return audit.look(audit.subject(post_key(post)))

    return look_at


def test_a_replica_that_catches_up_agrees_within_a_later_grace(look_at_new_post, paused_replica):
    with paused_replica():
        first = look_at_new_post()
    assert first.outcomes == {CACHE: within(0)}
    assert first.again.places == ("replica1",)
    assert audit.look(first.again).outcomes == {"replica1": within(1)}


def test_a_replica_that_lags_longer_is_behind(look_at_new_post, paused_replica):
    with paused_replica():
        look = look_at_new_post()
        while look.again:
            look = audit.look(look.again)
    assert look.outcomes == {"replica1": BEHIND}
    assert look.violation is None
