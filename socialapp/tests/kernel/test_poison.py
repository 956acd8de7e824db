"""A command whose handler fails becomes a dead letter with its traceback, and hardly delays its neighbours."""

import time

import pytest

from posts.commands import CreateComment, CreatePost
from posts.models import Comment, Post
from socialapp.accounts.models import User
from socialapp.cqrs import apply, log, outcomes
from socialapp.cqrs.ids import partition_of
from socialapp.cqrs.models import CommandResult, DeadLetter
from socialapp.cqrs.submit import submit

# Views refuse such a text; a handler does not look, and Postgres says no to the whole batch.
POISON = "x" * 2001
HOST = {"host": "127.0.0.1"}


@pytest.fixture
def post(author, drain_all):
    accepted = submit(CreatePost("host"), actor_id=author)
    drain_all()
    return accepted.resource_id


def comment(post, author, text: str):
    return submit(CreateComment(str(post), text), actor_id=author)


def test_its_neighbours_are_applied_within_five_seconds(post, author, drain_all):
    texts = [POISON if n in (100, 307, 499) else f"comment {n}" for n in range(apply.BATCH)]
    poisonous = [comment(post, author, text) for text in texts][100]
    behind = comment(post, author, "in the next batch")
    began = time.monotonic()
    drain_all()
    assert time.monotonic() - began < 5
    assert outcomes.lookup([behind.command_id])[behind.command_id].status == "applied"
    assert Comment.objects.filter(post=post).count() == Post.objects.get(pk=post).comment_count == apply.BATCH - 2
    letters = DeadLetter.objects.filter(partition=partition_of(post), envelope__payload__post_id=str(post))
    assert letters.count() == 3
    assert CommandResult.objects.get(pk=poisonous.command_id).outcome == "failed"
    assert log.backlog(partition_of(post)) == 0


@pytest.fixture
def operator(author, client, settings):
    """A browser in which an operator is logged in; what the pages look like is not collected for it."""
    plain = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
    settings.STORAGES = settings.STORAGES | plain
    User.objects.filter(pk=author).update(is_staff=True, is_superuser=True)
    client.force_login(User.objects.get(pk=author))
    return client


def test_it_appears_in_the_admin_with_its_traceback(post, author, operator):
    accepted = comment(post, author, POISON)
    apply.drain(partition_of(post))
    address = "/admin/cqrs/deadletter/"
    page = operator.get(f"{address}{accepted.command_id}/change/", headers=HOST).content.decode()
    assert "DataError: value too long" in page
    assert "Traceback (most recent call last)" in page and "posts/handlers/comments.py" in page
    assert "CreateComment" in operator.get(address, headers=HOST).content.decode()


def test_it_is_tried_three_times(post, author, monkeypatch):
    tried = []
    perform = apply._perform
    monkeypatch.setattr(apply, "_perform", lambda *args: tried.append(1) or perform(*args))
    accepted = comment(post, author, POISON)
    apply.drain(partition_of(post))
    assert len(tried) == apply.ATTEMPTS == DeadLetter.objects.get(pk=accepted.command_id).attempts


def test_a_handler_that_always_fails_does_not_pause_for_each_command(post, author, drain_all, monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    for _ in range(12):
        comment(post, author, POISON)
    drain_all()
    assert DeadLetter.objects.filter(envelope__payload__post_id=str(post)).count() == 12
    assert sum(pauses) < apply.MOST_PAUSED + max(apply.BACKOFF)
