"""The audit by beat: no worker waits for a grace, and what is stale is found all the same."""

import json
import logging

import pytest

from posts import fragments
from posts.models import Post
from socialapp.cqrs import audit, keys, valkey
from socialapp.cqrs.audit import CACHE, STALE, within
from socialapp.ops import auditing, tasks
from socialapp.tests.kernel.test_audit import plant


@pytest.fixture
def post(run, empty_cache) -> str:
    """The key of a post that the cache holds."""
    valkey.state().delete(keys.audit("counts"), keys.audit("places"))
    run("seed", users=1, posts=1, comments=0, likes=0)
    newest = Post.objects.latest("pk").pk
    fragments.posts.get(newest)
    return fragments.posts.key(newest)


@pytest.fixture
def handed_over(monkeypatch) -> list[tuple[list, float]]:
    """(arguments, countdown) of the next looks, as the broker would carry them; nobody takes them from it."""
    messages = []

    def publish(arguments, *, countdown):
        messages.append((json.loads(json.dumps(arguments)), countdown))

    monkeypatch.setattr(tasks.audit_again, "apply_async", publish)
    return messages


def test_what_agrees_is_counted_and_done_with(post, handed_over):
    tasks.audit_cache()
    assert auditing.totals()[CACHE, within(0)] == 1
    assert not [places for (subjects,), _ in handed_over for _, _, places, *_ in subjects if CACHE in places]


def test_a_planted_entry_is_found_over_several_runs_and_logged(post, handed_over, caplog):
    plant(post, b"planted")
    tasks.audit_cache()
    for looks in range(1, len(audit.GRACES)):
        assert len(handed_over) == looks
        arguments, countdown = handed_over[-1]
        assert sum(wait for _, wait in handed_over) == audit.GRACES[looks]
        tasks.audit_again(*arguments)
    assert len(handed_over) == len(audit.GRACES) - 1
    assert auditing.totals()[CACHE, STALE] == 1
    (error,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert post in error.getMessage()


def test_without_a_cache_the_next_run_is_waited_for(post, no_cache, caplog):
    tasks.audit_cache()
    assert "was not audited" in caplog.text


def test_beat_knows_the_task(settings):
    scheduled = settings.CELERY_BEAT_SCHEDULE["audit-cache"]["task"]
    assert scheduled == tasks.audit_cache.name
