"""A cache that does not answer slows applying by one timeout, not one per batch; nothing stale is left after it."""

import os
import signal
import time
from collections.abc import Iterator

import orjson
import pytest

from posts import fragments
from posts.commands import CreateComment, CreatePost
from socialapp.cqrs import apply, consumers, outcomes, valkey
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.models import ConsumerOffset
from socialapp.cqrs.submit import submit

PARTITIONS = 8
# Seconds, as config/settings/caches.py has it for workers.
TIMEOUT = 1.0


@pytest.fixture
def frozen(servers) -> Iterator:
    pid = servers.pid("valkey-cache")
    os.kill(pid, signal.SIGSTOP)
    thaw = lambda: os.kill(pid, signal.SIGCONT)  # noqa: E731
    yield thaw
    thaw()


@pytest.fixture
def posts(author, drain_all) -> list:
    """One in each of some partitions, cached as readers see them."""
    found = [submit(CreatePost("host"), actor_id=author, resource_id=new_id(n)).resource_id for n in range(PARTITIONS)]
    drain_all()
    consumers.run("cache")
    assert [shown_comments(post) for post in found] == [0] * PARTITIONS
    return found


def shown_comments(post) -> int:
    return orjson.loads(fragments.posts.get(post).body)["comment_count"]


def test_applying_goes_on_and_nothing_stale_is_left(posts, author, request):
    accepted = [submit(CreateComment(str(post), "first"), actor_id=author) for post in posts]
    thaw = request.getfixturevalue("frozen")

    started = time.monotonic()
    for post in posts:
        apply.drain(partition_of(post))
    seconds = time.monotonic() - started

    found = outcomes.lookup([one.command_id for one in accepted]).values()
    assert {(outcome.status, outcome.confirmed) for outcome in found} == {("applied", False)}
    assert seconds < PARTITIONS / 2 * TIMEOUT, "each partition waited for the cache"
    # A consumer that repeats the invalidation fails soon, and begins again at the same event.
    before = ConsumerOffset.objects.get(consumer="cache").position
    with pytest.raises(valkey.UNREACHABLE):
        consumers.run("cache")
    assert ConsumerOffset.objects.get(consumer="cache").position == before
    # when the cache thaws, with all its entries
    thaw()
    consumers.run("cache")
    assert [shown_comments(post) for post in posts] == [1] * PARTITIONS
    found = outcomes.lookup([one.command_id for one in accepted]).values()
    assert {(outcome.status, outcome.confirmed) for outcome in found} == {("applied", True)}
