"""Dead letters: requeued under their own id, edited, discarded; every decision leaves a trace."""

from datetime import timedelta

import orjson
import pytest
from django.utils.timezone import now

from posts.commands import CreateComment, CreatePost, DeletePost, EditPost, LikePost, UnlikePost
from posts.models import Comment, Like, Post
from socialapp.accounts.commands import EditProfile
from socialapp.accounts.models import User
from socialapp.cqrs import commands, dead_letters, log, outcomes, payloads, valkey
from socialapp.cqrs.commands import find
from socialapp.cqrs.dead_letters import AlreadyDecided, DiscardDeadLetter, RequeueDeadLetter
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.models import CommandResult, DeadLetter
from socialapp.cqrs.problems import Invalid, NotFound
from socialapp.cqrs.submit import submit

AGAIN = RequeueDeadLetter("ada", "the handler was mended")
NEVER = DiscardDeadLetter("ada", "spam")


@pytest.fixture
def handler(monkeypatch):
    """handler(cls) breaks the handler of a command class; `mend` undoes it."""

    class Handler:
        def breaks(self, cls):
            def fail(envelopes, effects):
                raise ZeroDivisionError(f"the handler has a bug: {envelopes[0].id}")

            monkeypatch.setitem(commands._handlers, cls, fail)

        mend = staticmethod(monkeypatch.undo)

    return Handler()


@pytest.fixture
def letter(author, drain_all, handler):
    """A comment whose handler failed; the handler works again."""
    post = submit(CreatePost("host"), actor_id=author).resource_id
    drain_all()
    handler.breaks(CreateComment)
    accepted = submit(
        CreateComment(str(post), "a remark"), actor_id=author, idempotency_key=f"k{post}", fingerprint="f"
    )
    drain_all()
    handler.mend()
    return DeadLetter.objects.get(pk=accepted.command_id)


def status_of(letter) -> str:
    return outcomes.lookup([letter.pk])[letter.pk].status


def steps_of(letter) -> list[tuple]:
    return list(letter.steps.order_by("pk").values_list("action", "by", "reason"))


def test_a_requeued_command_is_applied_under_its_own_id(letter, drain_all):
    assert status_of(letter) == "failed"
    dead_letters.requeue(letter.pk, AGAIN)
    assert status_of(letter) == "accepted"
    drain_all()
    assert status_of(letter) == "applied"
    assert Comment.objects.get(post_id=letter.envelope["payload"]["post_id"]).text == "a remark"
    row = CommandResult.objects.get(pk=letter.pk)
    assert (row.outcome, row.fingerprint) == ("applied", "f") and row.idempotency_key
    letter.refresh_from_db()
    assert letter.state == "requeued"
    assert steps_of(letter) == [
        ("buried", "worker", f"ZeroDivisionError: the handler has a bug: {letter.pk}"),
        ("requeued", "ada", "the handler was mended"),
    ]


def test_it_keeps_its_stamp_so_that_a_later_unlike_still_wins(author, drain_all, handler):
    post = submit(CreatePost("liked"), actor_id=author).resource_id
    drain_all()
    handler.breaks(LikePost)
    like = submit(LikePost(), actor_id=author, resource_id=post)
    drain_all()
    handler.mend()
    submit(UnlikePost(), actor_id=author, resource_id=post)
    drain_all()
    dead_letters.requeue(like.command_id, AGAIN)
    drain_all()
    assert outcomes.lookup([like.command_id])[like.command_id].status == "applied"
    assert not Like.objects.get(post=post, user=author).active


def test_it_can_fail_again_and_be_requeued_again(letter, drain_all, handler):
    handler.breaks(CreateComment)
    dead_letters.requeue(letter.pk, AGAIN)
    drain_all()
    handler.mend()
    letter.refresh_from_db()
    assert (letter.state, status_of(letter)) == ("buried", "failed")
    dead_letters.requeue(letter.pk, AGAIN)
    drain_all()
    assert status_of(letter) == "applied"
    assert [action for action, *_ in steps_of(letter)] == ["buried", "requeued", "buried", "requeued"]


def test_an_edited_payload_is_what_is_applied_and_the_change_is_kept(letter, drain_all):
    payload = letter.envelope["payload"] | {"text": "a better remark"}
    dead_letters.requeue(letter.pk, RequeueDeadLetter("ada", "typo", orjson.dumps(payload).decode()))
    drain_all()
    assert Comment.objects.get(post_id=payload["post_id"]).text == "a better remark"
    step = letter.steps.latest("pk")
    assert (step.action, step.changes) == ("edited and requeued", {"text": ["a remark", "a better remark"]})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"text": 5}, "text"),
        ({"text": "a\x00b"}, "text"),
        ({"colour": "red"}, "colour"),
        ({"post_id": "0192f0a0-0000-7000-8000-000000000000"}, "post_id"),
    ],
)
def test_what_is_no_payload_of_the_command_is_refused(letter, changes, field):
    payload = orjson.dumps(letter.envelope["payload"] | changes).decode()
    with pytest.raises(Invalid, match=field):
        dead_letters.requeue(letter.pk, RequeueDeadLetter("ada", "why", payload))
    letter.refresh_from_db()
    assert (letter.state, status_of(letter)) == ("buried", "failed")


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "{}", '{"text": null}', '{"text": "\\ud800"}'])
def test_what_is_no_payload_at_all(text):
    with pytest.raises(Invalid):
        payloads.parse(find("CreatePost", 1), text)


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ('{"text": "a"}', True),
        ('{"text": "a", "expected_version": null, "moderated": true}', True),
        ('{"text": "a", "expected_version": true}', False),
        ('{"text": "a", "expected_version": 1.5}', False),
        ('{"text": "a", "moderated": 1}', False),
    ],
)
def test_types_of_a_payload(text, fits):
    try:
        payloads.parse(find("EditPost", 1), text)
        assert fits
    except Invalid:
        assert not fits


def test_a_discarded_one_stays_failed_and_is_not_decided_twice(letter, drain_all):
    dead_letters.discard(letter.pk, NEVER)
    drain_all()
    assert status_of(letter) == "failed"
    for decide, decision in ((dead_letters.requeue, AGAIN), (dead_letters.discard, NEVER)):
        with pytest.raises(AlreadyDecided):
            decide(letter.pk, decision)
    assert steps_of(letter)[1:] == [("discarded", "ada", "spam")]


def test_there_is_no_such_letter(author):
    with pytest.raises(NotFound):
        dead_letters.discard(new_id(), NEVER)


def test_a_crash_before_the_append_is_repaired_by_beat(letter, drain_all, monkeypatch):
    def crash(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(log, "append", crash)
        dead_letters.requeue(letter.pk, AGAIN)
    drain_all()
    assert not CommandResult.objects.filter(pk=letter.pk).exists()
    dead_letters.append_left_behind()
    drain_all()
    letter.refresh_from_db()
    assert (letter.state, status_of(letter)) == ("requeued", "applied")


def test_a_crash_after_the_append_gives_a_double_that_is_dropped(letter, drain_all, monkeypatch):
    append = log.append

    def append_and_die(*args, **kwargs):
        append(*args, **kwargs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(log, "append", append_and_die)
        dead_letters.requeue(letter.pk, AGAIN)
    drain_all()
    dead_letters.append_left_behind()
    assert log.backlog(partition_of(letter.pk)) == 1
    drain_all()
    assert status_of(letter) == "applied"
    assert Comment.objects.filter(post_id=letter.envelope["payload"]["post_id"]).count() == 1


def test_without_the_log_the_decision_stands_and_is_carried_out_later(letter, drain_all, monkeypatch):
    def unreachable(*args, **kwargs):
        raise valkey.RedisError("down")

    with monkeypatch.context() as patched:
        patched.setattr(log, "append", unreachable)
        dead_letters.requeue(letter.pk, AGAIN)
    dead_letters.append_left_behind()
    drain_all()
    assert status_of(letter) == "applied"


def test_errors_of_one_cause_are_of_one_kind(author, drain_all, handler):
    handler.breaks(CreatePost)
    poison = [submit(CreatePost("host"), actor_id=author).command_id for _ in range(3)]
    drain_all()
    letters = DeadLetter.objects.filter(pk__in=poison)
    assert len({letter.error for letter in letters}) == 3
    (kind,) = {letter.kind for letter in letters}
    assert kind.startswith("ZeroDivisionError: the handler has a bug")


def test_a_key_that_was_forgotten_does_not_come_back(letter, drain_all):
    """A day later its actor may have used it for another command."""
    CommandResult.objects.filter(pk=letter.pk).update(idempotency_key=None)
    dead_letters.requeue(letter.pk, AGAIN)
    drain_all()
    assert CommandResult.objects.get(pk=letter.pk).idempotency_key is None


# Commands that overwrite what is there: (the one that failed, the later one, what is read of it).
OVERWRITING = {
    "EditPost": (EditPost("old"), EditPost("new"), lambda post, author: Post.objects.get(pk=post).text == "new"),
    "EditPost, then DeletePost": (
        DeletePost(),
        EditPost("new"),
        lambda post, author: Post.objects.get(pk=post).deleted_at is None,
    ),
    "EditProfile": (
        EditProfile(name="old"),
        EditProfile(bio="new"),
        lambda post, author: (User.objects.get(pk=author).name, User.objects.get(pk=author).bio) == ("", "new"),
    ),
}


@pytest.mark.parametrize("pair", OVERWRITING)
def test_a_requeued_command_does_not_undo_a_later_one(author, drain_all, handler, pair):
    failing, later, shows_the_later_one = OVERWRITING[pair]
    post = submit(CreatePost("first"), actor_id=author).resource_id
    target = author if isinstance(failing, EditProfile) else post
    drain_all()
    handler.breaks(type(failing))
    early = submit(failing, actor_id=author, resource_id=target)
    drain_all()
    handler.mend()
    submit(later, actor_id=author, resource_id=target)
    drain_all()
    dead_letters.requeue(early.command_id, AGAIN)
    drain_all()
    outcome = outcomes.lookup([early.command_id])[early.command_id]
    assert (outcome.status, outcome.problem["code"], outcome.problem["status"]) == ("rejected", "stale", 409)
    assert shows_the_later_one(post, author)


@pytest.mark.parametrize(("expected", "text"), [(2, "old"), (1, "new")])
def test_with_an_expected_version_that_decides(author, drain_all, handler, expected, text):
    post = submit(CreatePost("first"), actor_id=author).resource_id
    drain_all()
    handler.breaks(EditPost)
    early = submit(EditPost("old", expected_version=expected), actor_id=author, resource_id=post)
    drain_all()
    handler.mend()
    submit(EditPost("new"), actor_id=author, resource_id=post)
    drain_all()
    dead_letters.requeue(early.command_id, AGAIN)
    drain_all()
    assert Post.objects.get(pk=post).text == text


def test_nothing_later_was_changed(author, drain_all, handler):
    """Likes and comments that came later are no reason to refuse an edit."""
    post = submit(CreatePost("first"), actor_id=author).resource_id
    drain_all()
    handler.breaks(EditPost)
    early = submit(EditPost("edited"), actor_id=author, resource_id=post)
    drain_all()
    handler.mend()
    submit(LikePost(), actor_id=author, resource_id=post)
    submit(CreateComment(str(post), "first"), actor_id=author)
    drain_all()
    dead_letters.requeue(early.command_id, AGAIN)
    drain_all()
    assert Post.objects.get(pk=post).text == "edited"


def test_an_edit_that_a_wrong_clock_dated_into_the_future_blocks_no_other(author, drain_all):
    post = submit(CreatePost("first"), actor_id=author).resource_id
    drain_all()
    Post.objects.filter(pk=post).update(edited_at=now() + timedelta(days=2))
    submit(EditPost("second"), actor_id=author, resource_id=post)
    drain_all()
    assert Post.objects.get(pk=post).text == "second"


def test_a_letter_of_an_unknown_type_delays_no_other(author, drain_all, handler, monkeypatch, caplog):
    """As after a deploy was taken back; more of them than are read at a time, and by their ids before the others."""
    monkeypatch.setattr(dead_letters, "REPEAT_BATCH", 2)
    handler.breaks(CreatePost)
    failed = [submit(CreatePost("a"), actor_id=author).command_id for _ in range(4)]
    drain_all()
    handler.mend()
    *unknown, known = sorted(failed)

    def die(*args, **kwargs):
        raise KeyboardInterrupt

    for letter_id in failed:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(log, "append", die)
            dead_letters.requeue(letter_id, AGAIN)
    for letter in DeadLetter.objects.filter(pk__in=unknown):
        letter.envelope["type"] = "Unheard"
        letter.save(update_fields=["envelope"])
    dead_letters.append_left_behind()
    assert caplog.text.count("does not know the command: Unheard") == len(unknown)
    drain_all()
    assert Post.objects.filter(author=author).count() == 1
    states = dict(DeadLetter.objects.filter(pk__in=failed).values_list("pk", "state"))
    assert states == dict.fromkeys(unknown, "requeuing") | {known: "requeued"}
    DeadLetter.objects.filter(pk__in=unknown).update(state="discarded")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (log.Full("partition 3"), "Too many commands wait"),
        (valkey.RedisError("OOM command not allowed"), "OOM command not allowed"),
        (ZeroDivisionError("a bug"), "It cannot be appended"),
    ],
)
def test_a_full_log_is_told_and_the_decision_carried_out_later(letter, drain_all, monkeypatch, error, said):
    def full(*args, **kwargs):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(log, "append", full)
        told = dead_letters.requeue(letter.pk, AGAIN).delayed
        if not isinstance(error, valkey.RedisError):
            dead_letters.append_left_behind()
    assert said in told and "command log" in told and "The decision is recorded" in told
    letter.refresh_from_db()
    assert (letter.state, steps_of(letter)[-1][0]) == ("requeuing", "requeued")
    dead_letters.append_left_behind()
    drain_all()
    letter.refresh_from_db()
    assert (letter.state, status_of(letter)) == ("requeued", "applied")
