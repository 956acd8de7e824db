"""The command replay_events: a read model is made again beside the live one, and takes its place."""

import io
import sys
from datetime import timedelta

import pytest
from django.core.management.base import CommandError
from django.utils.timezone import now

from posts.commands import CreatePost, DeletePost
from posts.consumers import PostCounts
from posts.models import Post
from socialapp.accounts.models import User
from socialapp.cqrs import consumers, replays
from socialapp.cqrs.models import Event, ParkedEvent
from socialapp.cqrs.replays import CannotReplay, Replay
from socialapp.cqrs.submit import submit
from socialapp.ops.management.commands.replay_events import BEGINNING

REPLAY = ["replay_events", "--consumer=post-counts"]


@pytest.fixture
def happen(author, drain_all):
    """happen() adds three posts and deletes one."""

    def some_posts() -> None:
        made = [submit(CreatePost(f"n{n}"), actor_id=author).resource_id for n in range(3)]
        drain_all()
        submit(DeletePost(), actor_id=author, resource_id=made[0])
        drain_all()

    return some_posts


@pytest.fixture
def dates_may_be_recent(monkeypatch):
    """No test runs for ten minutes, and none leaves a transaction open."""
    monkeypatch.setattr(replays, "LONGEST_TRANSACTION", timedelta(0))


def read() -> None:
    """The live consumer counts what has happened."""
    while consumers.run("post-counts"):
        pass


def count(author) -> int:
    return User.objects.get(pk=author).post_count


def difference(since=BEGINNING) -> dict:
    return Replay("post-counts", since).dry_run()


def test_nothing_differs_where_nothing_went_wrong(author, happen):
    happen()
    read()
    happen()
    assert str(author) not in difference(), "what the live consumer has not read yet is no difference"


def test_a_dry_run_shows_what_would_change_and_changes_nothing(run, author, happen):
    happen()
    read()
    User.objects.filter(pk=author).update(post_count=99)
    with pytest.raises(CommandError, match="differs"):
        run(*REPLAY, "--dry-run")
    assert difference()[str(author)] == (99, 2)
    assert count(author) == 99


def test_the_rebuilt_one_takes_the_place_of_the_live_one(run, author, happen):
    happen()
    read()
    User.objects.filter(pk=author).update(post_count=99)
    assert f"{author}: 99 -> 2" in run(*REPLAY, "--yes")
    assert count(author) == 2
    told = Event.objects.filter(aggregate_id=author, type="PostsCounted").latest("position")
    assert told.payload["post_count"] == 2, "else caches would go on to show the old one"
    assert difference() == {}
    happen()
    read()
    assert count(author) == 4, "the live consumer goes on from where it was"


def test_rows_without_events_are_the_baseline(run, author):
    """Demo data have no events; a replay must not lose them."""
    read()
    run(*REPLAY, "--yes")
    run("seed", users=5, posts=20, comments=0, likes=0)
    assert difference() == {}
    seeded = Post.objects.order_by("-id").exclude(author=author).values_list("author", flat=True)[:20]
    User.objects.filter(pk__in=list(seeded)).update(post_count=0)
    assert difference()
    run(*REPLAY, "--yes")
    assert difference() == {}


def test_from_a_date_gives_the_same(author, happen, dates_may_be_recent):
    """A post may be older than the date and be deleted after it."""
    made = [submit(CreatePost(f"n{n}"), actor_id=author).resource_id for n in range(3)]
    happen()
    since = now()
    happen()
    submit(DeletePost(), actor_id=author, resource_id=made[0])
    happen()
    read()
    User.objects.filter(pk=author).update(post_count=0)
    assert difference(since)[str(author)] == difference()[str(author)] == (0, count_of_posts(author))


def test_a_date_that_the_live_consumer_has_not_reached_is_refused(author, happen, dates_may_be_recent):
    happen()
    with pytest.raises(CannotReplay, match="has yet to read"):
        difference(now())
    read()
    assert str(author) not in difference(now())


def test_a_date_that_transactions_may_not_have_reached_is_refused(run):
    with pytest.raises(CommandError, match="older transactions may still be running"):
        run(*REPLAY, "--dry-run", f"--from={now().isoformat()}")


def count_of_posts(author) -> int:
    return Post.objects.filter(author=author, deleted_at__isnull=True).count()


def test_what_happens_during_a_replay_is_neither_lost_nor_doubled(author, happen, monkeypatch):
    happen()
    read()
    User.objects.filter(pk=author).update(post_count=99)
    fold = PostCounts.fold

    def fold_while_the_world_goes_on(rebuilt, batch):
        fold(rebuilt, batch)
        monkeypatch.setattr(PostCounts, "fold", fold)
        happen()
        read()
        happen()

    monkeypatch.setattr(PostCounts, "fold", fold_while_the_world_goes_on)
    found = Replay("post-counts", BEGINNING).run()
    assert found[str(author)] == (101, 4)
    read()
    assert count(author) == count_of_posts(author) == 6


def test_what_was_parked_is_contained_and_not_tried_again(author, happen):
    happen()
    last = Event.objects.filter(type="PostCreated").latest("position")
    read()
    User.objects.filter(pk=author).update(post_count=1)
    ParkedEvent.objects.create(consumer="post-counts", event_position=last.position, error="x", retry_at=now())
    Replay("post-counts", BEGINNING).run()
    read()
    assert count(author) == 2


def test_only_what_declares_a_read_model_can_be_replayed(run):
    with pytest.raises(CommandError, match="invalid choice"):
        run("replay_events", "--consumer=cache")


def test_a_date_is_a_date(run):
    with pytest.raises(CommandError, match="is not a date"):
        run(*REPLAY, "--from=yesterday")


def test_without_a_terminal_it_needs_yes(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(CommandError, match="--yes"):
        run(*REPLAY)
