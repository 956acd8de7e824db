"""A log that was wiped: a repeated key gets its first answer, from the primary."""

import pytest
from django.conf import settings
from django.db import OperationalError

from posts.commands import CreatePost
from posts.models import Post
from socialapp.cqrs import claims, inbox, memory, tasks, valkey
from socialapp.cqrs import submit as submitting
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.problems import IdempotencyKeyReused
from socialapp.cqrs.submit import submit

REPEATS = 20


@pytest.fixture
def posted(author, drain_all):
    """posted(key, fingerprint) submits a post of `author`."""

    def posted(key: str, fingerprint: str = "f"):
        return submit(CreatePost("once"), actor_id=author, idempotency_key=key, fingerprint=fingerprint)

    return posted


def ids(accepted) -> tuple:
    return accepted.command_id, accepted.resource_id


def test_a_repeat_after_a_wipe_gets_the_first_answer(posted, author, drain_all):
    first = [posted(f"{number}") for number in range(REPEATS)]
    drain_all()
    valkey.command_log().flushdb()
    for _ in range(2):
        again = [posted(f"{number}") for number in range(REPEATS)]
        assert [ids(one) for one in again] == [ids(one) for one in first]
        assert all(one.replayed for one in again)
    drain_all()
    assert Post.objects.filter(author=author).count() == REPEATS


def test_another_request_after_a_wipe_is_refused_and_does_not_take_the_key(posted, drain_all):
    first = posted("k")
    drain_all()
    valkey.command_log().flushdb()
    for _ in range(2):
        with pytest.raises(IdempotencyKeyReused):
            posted("k", "another")
    assert ids(posted("k")) == ids(first)


def test_the_primary_is_not_asked_when_claims_are_complete(posted, monkeypatch):
    claims.note_losses(None)
    monkeypatch.setattr(inbox, "first", None)
    monkeypatch.setattr(inbox, "_empty_until", float("inf"))
    assert not posted("k").replayed


def test_it_is_not_asked_again_when_all_lost_keys_are_forgotten(posted, drain_all, settings, monkeypatch):
    posted("before")
    drain_all()
    valkey.command_log().flushdb()
    settings.IDEMPOTENCY_TTL = -1
    tasks.trim_log()
    settings.IDEMPOTENCY_TTL = 60
    assert not claims.may_have_lost_some()
    monkeypatch.setattr(inbox, "first", None)
    monkeypatch.setattr(inbox, "_empty_until", float("inf"))
    assert not posted("after").replayed


def test_without_the_primary_a_new_key_is_accepted(posted, author, drain_all, monkeypatch):
    first = posted("k")
    drain_all()
    valkey.command_log().flushdb()

    def down(*_):
        raise OperationalError("down")

    with monkeypatch.context() as patched:
        patched.setattr(inbox, "first", down)
        assert not posted("k").replayed
    drain_all()
    assert [post.pk for post in Post.objects.filter(author=author)] == [first.resource_id]
    assert claims.may_have_lost_some(), "the next one asks"


@pytest.fixture
def half_full(monkeypatch):
    """The log says that it is half full, so claims are short."""
    monkeypatch.setattr(claims, "_note_again_at", 0.0)
    memory.note(600)
    yield
    memory.note(0)


def test_a_repeat_after_a_short_claim_gets_the_first_answer(posted, half_full, author, drain_all):
    claims.note_losses(None)
    first = [posted(f"{number}") for number in range(REPEATS)]
    drain_all()
    valkey.command_log().delete(*valkey.command_log().scan_iter("*idempotency*", count=1000))
    again = [posted(f"{number}") for number in range(REPEATS)]
    assert [ids(one) for one in again] == [ids(one) for one in first]
    drain_all()
    assert Post.objects.filter(author=author).count() == REPEATS


def test_a_mark_makes_no_claim_that_stays_for_ever(posted, author):
    accepted = posted("k")
    envelope = Envelope(
        accepted.command_id, CreatePost("once"), author, accepted.resource_id, idempotency_key="k", fingerprint="f"
    )
    (key,) = valkey.command_log().scan_iter("*idempotency*", count=1000)
    for exists in (True, False):
        if not exists:
            valkey.command_log().delete(key)
        claims.mark(envelope)
        assert 0 < valkey.command_log().ttl(key) <= settings.IDEMPOTENCY_TTL


def test_a_primary_that_does_not_answer_is_not_asked_for_each_key(posted, monkeypatch):
    """After a wipe every new key asks it: each would wait for the limit of a glance."""
    asked = []

    def down(*_):
        asked.append(True)
        raise OperationalError("down")

    monkeypatch.setattr(inbox, "first", down)
    monkeypatch.setattr(inbox, "_empty_until", float("inf"))
    monkeypatch.setattr(submitting, "primary_for_keys", Breaker(open_for=(60, 60), probe=60))
    accepted = [posted(f"{number}") for number in range(REPEATS)]
    assert len(asked) == 1 and not any(one.replayed for one in accepted)
