"""What fails after the commit is no command's fault: it is neither buried, nor undone, nor told as confirmed."""

import orjson
import pytest

from posts import fragments
from posts.commands import CreateComment, CreatePost, LikePost
from posts.events import CommentCreated
from posts.models import Comment, Post
from socialapp.cqrs import apply, commands, consumers, events, log, outcomes, settle, waking
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.events import Recorded
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.models import CommandResult, DeadLetter, Event, ParkedEvent
from socialapp.cqrs.submit import submit

POISON = "x" * 2001


@pytest.fixture
def post(author, drain_all):
    accepted = submit(CreatePost("host"), actor_id=author)
    drain_all()
    consumers.run("cache")
    return accepted.resource_id


@pytest.fixture
def broken(monkeypatch):
    """broken(module, name, error): a function fails whenever it is called."""

    def arrange(module, name: str, error: Exception) -> None:
        def fail(*args, **kwargs):
            raise error

        monkeypatch.setattr(module, name, fail)

    monkeypatch.setattr(apply, "BACKOFF", (0, 0))
    arrange.mend = monkeypatch.undo
    return arrange


def outcome_of(accepted):
    return outcomes.lookup([accepted.command_id])[accepted.command_id]


def shown_comments(post) -> int:
    return orjson.loads(fragments.posts.get(post).body)["comment_count"]


# In a batch with a poisonous command; the function that fails for each of them, and whether readers are still told
# that nothing stale is left.
AFTER_THE_COMMIT = {
    "waking the consumers": (waking, "wake_consumers", True),
    "telling what is stale": (events, "stale_keys", False),
    "the place in the primary's log": (settle, "settle", False),
    "publishing": (log, "publish", False),
    "refilling": (settle, "refill", True),
}


@pytest.mark.parametrize("step", AFTER_THE_COMMIT)
@pytest.mark.parametrize("with_poison", [False, True])
def test_an_error_after_the_commit_buries_nobody(post, author, broken, step, with_poison):
    module, name, confirmed = AFTER_THE_COMMIT[step]
    accepted = [submit(CreateComment(str(post), f"good {n}"), actor_id=author) for n in range(3)]
    poison = submit(CreateComment(str(post), POISON), actor_id=author) if with_poison else None
    broken(module, name, ZeroDivisionError("a bug"))

    apply.drain(partition_of(post))

    assert Comment.objects.filter(post=post).count() == Post.objects.get(pk=post).comment_count == 3
    letters = DeadLetter.objects.filter(envelope__payload__post_id=str(post))
    assert [letter.pk for letter in letters] == ([poison.command_id] if poison else [])
    assert [(outcome_of(one).status, outcome_of(one).confirmed) for one in accepted] == [("applied", confirmed)] * 3
    assert log.backlog(partition_of(post)) == 0


def test_the_cache_consumer_makes_up_for_it(post, author, broken):
    assert shown_comments(post) == 0
    accepted = submit(CreateComment(str(post), "good"), actor_id=author)
    broken(events, "stale_keys", ZeroDivisionError("a bug"))
    apply.drain(partition_of(post))
    assert not outcome_of(accepted).confirmed
    broken.mend()
    consumers.run("cache")
    assert outcome_of(accepted).confirmed and shown_comments(post) == 1


def test_what_the_consumer_cannot_digest_either_stays_unconfirmed(post, author, broken):
    accepted = submit(CreateComment(str(post), "good"), actor_id=author)
    broken(events, "stale_keys", ZeroDivisionError("a bug"))
    apply.drain(partition_of(post))
    consumers.run("cache")
    assert ParkedEvent.objects.filter(event_position=Event.objects.get(command_id=accepted.command_id).pk).exists()
    assert (outcome_of(accepted).status, outcome_of(accepted).confirmed) == ("applied", False)


def test_a_log_that_goes_away_after_the_commit_is_repaired_by_redelivery(post, author, broken, drain_all):
    accepted = [submit(CreateComment(str(post), text), actor_id=author) for text in ("good", POISON, "better")]
    broken(log, "publish", TimeoutError("frozen"))
    with pytest.raises(TimeoutError):
        apply.drain(partition_of(post))
    broken.mend()
    drain_all()
    assert [outcome_of(one).status for one in accepted] == ["applied", "failed", "applied"]
    assert Post.objects.get(pk=post).comment_count == 2


@pytest.mark.parametrize("outcome", ["applied", "deferred"])
def test_what_another_worker_has_applied_is_not_buried(post, author, monkeypatch, outcome):
    """The first worker's handler fails until it gives up; before it has the lock again, another one applies."""
    accepted = submit(LikePost(), actor_id=author, resource_id=post)
    partition, handler, bury = partition_of(post), commands._handlers[LikePost], apply.bury

    def fail(envelopes, effects):
        raise ZeroDivisionError("an old worker's bug")

    def defer(envelopes, effects):
        for envelope in envelopes:
            effects.defer(envelope)

    def bury_late(*args):
        monkeypatch.setitem(commands._handlers, LikePost, handler if outcome == "applied" else defer)
        monkeypatch.setattr(apply, "bury", bury)
        apply.apply_batch(partition)
        bury(*args)

    monkeypatch.setattr(apply, "BACKOFF", (0, 0))
    monkeypatch.setattr(apply, "bury", bury_late)
    monkeypatch.setitem(commands._handlers, LikePost, fail)
    apply.drain(partition)
    if outcome == "applied":
        assert CommandResult.objects.get(pk=accepted.command_id).outcome == outcome_of(accepted).status == "applied"
        assert not DeadLetter.objects.filter(pk=accepted.command_id).exists()
    else:
        assert CommandResult.objects.get(pk=accepted.command_id).outcome == outcome_of(accepted).status == "failed"
        assert DeadLetter.objects.filter(pk=accepted.command_id).exists()
    assert Post.objects.get(pk=post).like_count == (outcome == "applied")


@pytest.mark.parametrize("text", ["a\x00b", "\x00" + POISON])
def test_a_text_that_no_database_takes_can_still_be_buried_and_edited(post, author, monkeypatch, text):
    monkeypatch.setattr(apply, "BACKOFF", (0, 0))
    accepted = submit(CreateComment(str(post), text), actor_id=author)
    good = submit(CreateComment(str(post), "good"), actor_id=author)
    apply.drain(partition_of(post))
    assert (outcome_of(accepted).status, outcome_of(good).status) == ("failed", "applied")
    letter = DeadLetter.objects.get(pk=accepted.command_id)
    assert letter.envelope["payload"]["text"] == text.replace("\x00", "\ufffd")


def test_a_command_whose_letter_cannot_be_written_is_put_away(post, author, monkeypatch):
    monkeypatch.setattr(apply, "BACKOFF", (0, 0))
    partition = partition_of(post)
    bad = CreateComment(str(post), "bad")
    # As somebody else may write it into the log: no header can carry such a key.
    poison = Envelope(new_id(partition), bad, author, new_id(partition), idempotency_key="a\x00b", fingerprint="f")
    log.append(poison, after_stamp=0)
    good = submit(CreateComment(str(post), "good"), actor_id=author)
    apply.drain(partition)
    assert outcomes.lookup([poison.id])[poison.id].status == "failed"
    assert outcome_of(good).status == "applied"
    assert log.backlog(partition) == 0


def test_an_older_worker_that_repeats_the_settling_confirms_nothing_it_does_not_know(post, author, monkeypatch):
    assert shown_comments(post) == 0
    accepted = submit(CreateComment(str(post), "of a newer worker"), actor_id=author)

    def die(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as newer_worker, pytest.raises(KeyboardInterrupt):
        newer_worker.setattr(apply, "finish", die)
        apply.drain(partition_of(post))
    with monkeypatch.context() as older_worker:
        older_worker.delitem(events._types, ("CommentCreated", 1))
        apply.drain(partition_of(post))
        consumers.run("cache")
    assert (outcome_of(accepted).status, outcome_of(accepted).confirmed) == ("applied", False)
    consumers.run("cache")
    assert outcome_of(accepted).confirmed and shown_comments(post) == 1


def test_the_consumer_confirms_a_command_with_its_last_event(post, author, monkeypatch):
    """An older process knows the first event of a command, and not the second."""
    accepted = submit(CreateComment(str(post), "one"), actor_id=author)
    monkeypatch.setattr(settle, "_stale", lambda happened: None)
    apply.drain(partition_of(post))
    first = Event.objects.get(command_id=accepted.command_id)
    second = Event.objects.create(
        type="Unheard", version=1, aggregate="post", aggregate_id=post, aggregate_version=99, payload={},
        time=first.time, command_id=accepted.command_id,
    )  # fmt: skip
    known = Recorded(CommentCreated(str(post), "c", str(author), "one"), post, 2, first.time, first.command_id)
    settle.repeat_invalidations([Recorded(known.event, post, 2, first.time, first.command_id, first.xid, first.pk)])
    assert not outcome_of(accepted).confirmed
    Event.objects.filter(pk=second.pk).delete()
    settle.repeat_invalidations([Recorded(known.event, post, 2, first.time, first.command_id, first.xid, first.pk)])
    assert outcome_of(accepted).confirmed


def test_more_events_than_a_page_are_all_found_in_their_order(post, author, monkeypatch):
    """A transaction that began later may have written lower positions."""
    monkeypatch.setattr(events, "BATCH", 2)
    accepted = submit(CreateComment(str(post), "one"), actor_id=author)
    apply.drain(partition_of(post))
    first = Event.objects.get(command_id=accepted.command_id)
    rows = [{"position": first.pk * 1000 - n, "xid": first.xid + n, "aggregate_version": 1000 + n} for n in range(1, 6)]
    made = Event.objects.bulk_create(
        Event(
            type=first.type, version=1, aggregate="post", aggregate_id=post, payload=first.payload, time=first.time,
            command_id=first.command_id, **row,
        )
        for row in rows
    )  # fmt: skip
    try:
        found, complete = events.of_commands([first.command_id])
    finally:
        Event.objects.filter(pk__in=[one.pk for one in made]).delete()
    assert complete and [one.position for one in found] == [first.pk, *(row["position"] for row in rows)]
