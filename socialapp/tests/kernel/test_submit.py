"""Accepting: idempotency across every crash, stamps without the web servers' clocks, back-pressure."""

import threading

import pytest

from posts.commands import CreatePost, LikePost, UnlikePost
from posts.models import Like, Post
from socialapp.cqrs import log, outcomes
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.models import CommandResult
from socialapp.cqrs.problems import IdempotencyKeyReused, Overloaded
from socialapp.cqrs.submit import breaker, submit
from socialapp.tests import crashes

KEYED = {"idempotency_key": "k", "fingerprint": "f"}

SUBMIT_POST = """
from uuid import UUID
from posts.commands import CreatePost
from socialapp.cqrs.submit import breaker, submit
submit(CreatePost("try"), actor_id=UUID("{author}"), idempotency_key="k", fingerprint="f")
"""


@pytest.mark.parametrize(
    "window",
    [
        "socialapp.cqrs.claims.claim",
        "socialapp.cqrs.log.append",
        "socialapp.cqrs.claims.mark",
        "socialapp.cqrs.waking.wake_partition",
    ],
)
def test_whatever_a_crash_cuts_off_the_repeat_does(author, drain_all, window):
    # given a server that was killed just before one of its steps
    crashes.kill_at(window, SUBMIT_POST.format(author=author))
    # when the client sends the same request again, twice
    first, second = (submit(CreatePost("try"), actor_id=author, **KEYED) for _ in range(2))
    drain_all()
    # then there is one post, and one answer
    assert (first.command_id, first.resource_id) == (second.command_id, second.resource_id)
    assert [post.pk for post in Post.objects.filter(author=author)] == [first.resource_id]
    assert outcomes.lookup([first.command_id])[first.command_id].status == "applied"
    assert second.replayed


def test_a_mark_that_fails_costs_only_a_double(author, drain_all, monkeypatch):
    def unreachable(envelope):
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr("socialapp.cqrs.claims.mark", unreachable)
        first = submit(CreatePost("try"), actor_id=author, **KEYED)
    breaker.close()
    assert submit(CreatePost("try"), actor_id=author, **KEYED).command_id == first.command_id
    assert log.backlog(partition_of(first.command_id)) == 2
    drain_all()
    assert Post.objects.filter(author=author).count() == 1


def test_fifty_identical_requests_at_once_are_one_command(author, drain_all):
    answers, start = [], threading.Barrier(50)

    def request():
        start.wait()
        answers.append(submit(CreatePost("once"), actor_id=author, **KEYED))

    crowd = [threading.Thread(target=request) for _ in range(50)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    drain_all()
    assert len(answers) == 50
    assert len({(answer.command_id, answer.resource_id) for answer in answers}) == 1
    assert Post.objects.filter(author=author).count() == 1
    assert CommandResult.objects.filter(actor_id=author, idempotency_key="k").count() == 1


def test_another_request_under_the_same_key_is_refused(author):
    submit(CreatePost("paid"), actor_id=author, **KEYED)
    with pytest.raises(IdempotencyKeyReused):
        submit(CreatePost("other"), actor_id=author, idempotency_key="k", fingerprint="g")


def test_a_full_partition_is_refused_until_it_is_drained(author, drain_all, settings):
    settings.LOG_MOST_WAITING = 3
    post = new_id(5)
    accepted = [submit(LikePost(), actor_id=author, resource_id=post) for _ in range(3)]
    with pytest.raises(Overloaded) as refusal:
        submit(LikePost(), actor_id=author, resource_id=post)
    assert (refusal.value.status, refusal.value.code) == (503, "overloaded")
    assert int(refusal.value.headers["Retry-After"]) > 0
    assert submit(LikePost(), actor_id=author, resource_id=new_id(6)), "other partitions have room"
    assert outcomes.lookup([accepted[0].command_id]), "and reads go on"
    drain_all()
    assert submit(LikePost(), actor_id=author, resource_id=post), "what was applied does not count"


def test_a_full_log_that_is_back_sends_nobody_to_the_inbox(author, settings, monkeypatch):
    settings.LOG_MOST_WAITING = 0
    back = Breaker(open_for=(0, 0), probe=60)
    back.trip()
    monkeypatch.setattr("socialapp.cqrs.submit.breaker", back)
    for _ in range(2):
        with pytest.raises(Overloaded):
            submit(LikePost(), actor_id=author, resource_id=new_id(5))


def test_a_request_that_was_refused_is_taken_under_its_ids_later(author, drain_all, settings):
    settings.LOG_MOST_WAITING = 0
    with pytest.raises(Overloaded):
        submit(CreatePost("try"), actor_id=author, **KEYED)
    settings.LOG_MOST_WAITING = 10
    accepted = submit(CreatePost("try"), actor_id=author, **KEYED)
    assert accepted.replayed is False
    drain_all()
    assert Post.objects.filter(author=author).count() == 1


LIKE = """
from uuid import UUID
from posts.commands import LikePost
from socialapp.cqrs.submit import breaker, submit
submit(LikePost(), actor_id=UUID("{author}"), resource_id=UUID("{post}"))
"""


@pytest.mark.parametrize("ahead", [0.05, 3600])
def test_a_like_through_a_server_whose_clock_is_ahead_and_then_an_unlike(author, drain_all, ahead):
    post = submit(CreatePost("host"), actor_id=author).resource_id
    crashes.run(LIKE.format(author=author, post=post), before=crashes.CLOCK_OFF.format(by=ahead))
    submit(UnlikePost(), actor_id=author, resource_id=post)
    drain_all()
    assert Like.objects.get(post=post, user=author).active is False
