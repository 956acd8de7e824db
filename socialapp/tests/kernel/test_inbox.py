"""The inbox takes commands while the log is down: under the same ids, in order, applied once it is back."""

import secrets
import time

import pytest
from django.db import connections
from django.utils import timezone

from config.settings import caches
from deploy.embedded import binaries
from posts.commands import CreatePost, EditPost, LikePost, UnlikePost
from posts.models import Like, Post
from socialapp.cqrs import apply, commands, deferrals, inbox, log, outcomes, routing
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.http.freshness import settled
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.models import InboxCommand
from socialapp.cqrs.problems import IdempotencyKeyReused, Overloaded, Unavailable
from socialapp.cqrs.submit import submit
from socialapp.tests import crashes
from socialapp.tests.valkeys import ValkeyLog, valkey_log, wait_until

KEYED = {"idempotency_key": "k", "fingerprint": "f"}
TIMEOUT = 0.3


@pytest.fixture(scope="module")
def own_log(servers, tmp_path_factory) -> ValkeyLog:
    with valkey_log(binaries.valkey(), tmp_path_factory.mktemp("log")) as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(own_log, settings, monkeypatch, fresh, clean_stores):
    """A log that a test may stop; whoever found it down asks again at once when it is back."""
    own_log.client().flushdb()
    settings.CACHES = settings.CACHES | {"command_log": caches.valkey(own_log.url, timeout=TIMEOUT)}
    monkeypatch.setenv("LOG_URL", own_log.url)
    monkeypatch.setattr("socialapp.cqrs.submit.breaker", Breaker(open_for=(0, 0), probe=0))
    monkeypatch.setattr(outcomes, "_breaker", Breaker(open_for=(0, 0), probe=0))
    monkeypatch.setattr(inbox, "_empty_until", 0.0)


def status_of(accepted) -> str:
    return outcomes.lookup([accepted.command_id])[accepted.command_id].status


def test_what_is_accepted_while_the_log_is_frozen_is_applied_when_it_is_back(own_log, author, drain_all):
    before = submit(CreatePost("in the log"), actor_id=author)
    with own_log.frozen():
        accepted = submit(CreatePost("in the inbox"), actor_id=author, token=before.token)
        assert status_of(accepted) == "accepted"
        token, kept = settled(accepted.token, 0.01)
        assert not kept and accepted.command_id in token.pending
    drain_all()
    assert status_of(accepted) == "applied"
    assert Post.objects.filter(author=author).count() == 2
    assert not InboxCommand.objects.exists()
    assert settled(accepted.token, 0.01)[1]


def test_a_command_that_waits_in_a_log_that_does_not_answer_is_not_said_to_be_unknown(own_log, author):
    accepted = submit(CreatePost("in the log"), actor_id=author)
    with own_log.frozen(), pytest.raises(Unavailable):
        outcomes.lookup([accepted.command_id])


def test_a_killed_log_costs_no_write(own_log, author, drain_all):
    before = submit(CreatePost("in the log"), actor_id=author)
    own_log.kill()
    try:
        accepted = submit(CreatePost("in the inbox"), actor_id=author)
        assert status_of(accepted) == "accepted"
    finally:
        own_log.start()
    drain_all()
    assert (status_of(before), status_of(accepted)) == ("applied", "applied")


def test_an_append_that_happens_after_its_timeout_is_a_double(own_log, author, drain_all):
    """The frozen log has the request in its socket, and obeys when it thaws."""
    # given a log that knows the script
    submit(CreatePost("before"), actor_id=author)
    drain_all()
    with own_log.frozen():
        accepted = submit(CreatePost("once"), actor_id=author)
    partition = partition_of(accepted.command_id)
    wait_until(lambda: log.backlog(partition) == 2)
    drain_all()
    assert Post.objects.filter(author=author, text="once").count() == 1
    assert log.backlog(partition) == 0


def test_a_late_double_does_not_undo_what_came_after_it(own_log, author, drain_all):
    post = submit(CreatePost("host"), actor_id=author).resource_id
    drain_all()
    with own_log.frozen():
        submit(LikePost(), actor_id=author, resource_id=post)
        submit(UnlikePost(), actor_id=author, resource_id=post)
    # The like's append was sent on a living connection; for the unlike there was none.
    wait_until(lambda: log.backlog(partition_of(post)) == 3)
    (late,) = log._read_group(partition_of(post), ">", 500)
    assert late.stamp > InboxCommand.objects.latest("stamp").stamp
    drain_all()
    assert Like.objects.get(post=post, user=author).active is False


def test_a_command_of_the_inbox_may_have_to_wait_like_any_other(own_log, author, drain_all, monkeypatch):
    """It is set aside in the log, and no longer in the inbox; the next on its aggregate keeps its place behind it."""
    post = submit(CreatePost("host"), actor_id=author).resource_id
    drain_all()
    with own_log.frozen():
        newer = submit(EditPost("newer"), actor_id=author, resource_id=post)
        last = submit(EditPost("last"), actor_id=author, resource_id=post)
    partition = partition_of(post)
    with monkeypatch.context() as older_deploy:
        older_deploy.delitem(commands._types, ("EditPost", 1))
        drain_all()
        assert (status_of(newer), status_of(last)) == ("accepted", "accepted")
        assert (InboxCommand.objects.count(), log.backlog(partition)) == (0, 0)
        assert deferrals.waiting_partitions() == [partition]
    apply.drain(partition)
    assert Post.objects.get(pk=post).text == "last"
    assert deferrals.waiting_partitions() == []


def test_log_and_inbox_keep_their_order(own_log, author, drain_all):
    post = submit(CreatePost("first"), actor_id=author)
    with own_log.frozen():
        second = submit(EditPost("second"), actor_id=author, resource_id=post.resource_id, token=post.token)
    submit(EditPost("third"), actor_id=author, resource_id=post.resource_id, token=second.token)
    drain_all()
    assert Post.objects.get(pk=post.resource_id).text == "third"
    assert status_of(second) == "applied"


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_batches_that_are_cut_off_are_merged_by_stamp(own_log, author, limit):
    """given 12 commands on one post, in turns through log and inbox"""
    post, token, made = new_id(3), Token(), []
    for number in range(12):
        envelope = Envelope(new_id(3), EditPost(f"number {number}"), author, post)
        put = inbox.put if number % 3 else log.append
        token = token.awaiting(envelope.id, put(envelope, after_stamp=token.stamp).stamp)
        made.append(token.stamp)
    read = []
    while entries := log.read(3, limit=limit):
        log.acknowledge(3, entries)
        read += [entry.stamp for entry in entries]
    assert read == made


def test_stamps_rise_in_the_inbox_and_go_on_rising_in_the_log(own_log, author):
    post, ahead = new_id(3), int(time.time() * 1e6) + 4_000_000
    with own_log.frozen():
        stamps = [submit(LikePost(), actor_id=author, resource_id=post, token=Token(stamp=ahead)).token.stamp]
        stamps += [submit(LikePost(), actor_id=author, resource_id=post).token.stamp for _ in range(3)]
    assert stamps == [ahead + 1, ahead + 2, ahead + 3, ahead + 4]
    log.read(3, limit=500)
    assert submit(LikePost(), actor_id=author, resource_id=post).token.stamp > stamps[-1]


def test_a_key_gives_one_command_while_the_log_is_down(own_log, author, drain_all):
    with own_log.frozen():
        first, second = (submit(CreatePost("once"), actor_id=author, **KEYED) for _ in range(2))
        with pytest.raises(IdempotencyKeyReused):
            submit(CreatePost("other"), actor_id=author, idempotency_key="k", fingerprint="g")
    assert (first.command_id, first.resource_id) == (second.command_id, second.resource_id)
    assert (first.replayed, second.replayed) == (False, True)
    drain_all()
    assert Post.objects.filter(author=author).count() == 1


def test_a_key_of_the_inbox_is_known_when_the_log_is_back(own_log, author, drain_all):
    own_log.kill()
    first = submit(CreatePost("once"), actor_id=author, **KEYED)
    own_log.start()
    second = submit(CreatePost("once"), actor_id=author, **KEYED)
    assert (second.command_id, second.replayed) == (first.command_id, True)
    drain_all()
    third = submit(CreatePost("once"), actor_id=author, **KEYED)
    assert (third.command_id, third.replayed) == (first.command_id, True)
    assert Post.objects.filter(author=author).count() == 1


def test_the_log_learns_the_keys_before_the_inbox_is_applied(own_log, author, monkeypatch):
    own_log.kill()
    first = submit(CreatePost("once"), actor_id=author, **KEYED)
    own_log.start()
    log.read(partition_of(first.command_id), limit=500)
    monkeypatch.setattr(inbox, "glance", lambda envelope: None)
    assert submit(CreatePost("once"), actor_id=author, **KEYED).command_id == first.command_id


def test_a_key_that_was_applied_before_the_log_went_down_is_known(own_log, author, drain_all):
    first = submit(CreatePost("once"), actor_id=author, **KEYED)
    drain_all()
    with own_log.frozen():
        second = submit(CreatePost("once"), actor_id=author, **KEYED)
    assert (second.command_id, second.resource_id, second.replayed) == (first.command_id, first.resource_id, True)


def test_a_key_that_is_in_the_log_and_in_the_inbox_has_one_effect(own_log, author, drain_all):
    first = submit(CreatePost("once"), actor_id=author, **KEYED)
    with own_log.frozen():
        second = submit(CreatePost("once"), actor_id=author, **KEYED)
    drain_all()
    assert [post.pk for post in Post.objects.filter(author=author)] == [first.resource_id]
    outcome = outcomes.lookup([second.command_id])[second.command_id]
    assert (outcome.status, outcome.resource_id) == ("applied", str(first.resource_id))


SUBMIT_POST = """
from uuid import UUID
from posts.commands import CreatePost
from socialapp.cqrs.submit import submit
submit(CreatePost("try"), actor_id=UUID("{author}"), idempotency_key="k", fingerprint="f")
"""


@pytest.mark.parametrize("window", ["socialapp.cqrs.inbox.put", "socialapp.cqrs.submit._accepted"])
def test_a_server_that_dies_around_the_inbox_is_repaired_by_the_repeat(own_log, author, drain_all, window):
    own_log.kill()
    crashes.kill_at(window, SUBMIT_POST.format(author=author))
    first = submit(CreatePost("try"), actor_id=author, **KEYED)
    own_log.start()
    assert submit(CreatePost("try"), actor_id=author, **KEYED).command_id == first.command_id
    drain_all()
    assert Post.objects.filter(author=author).count() == 1


def test_a_claim_without_its_append_goes_to_the_inbox_under_its_ids(own_log, author, drain_all, monkeypatch):
    def lost(envelope, **_):
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(log, "append", lost)
        first = submit(CreatePost("try"), actor_id=author, **KEYED)
    assert InboxCommand.objects.filter(pk=first.command_id).exists()
    assert submit(CreatePost("try"), actor_id=author, **KEYED).command_id == first.command_id
    drain_all()
    assert Post.objects.filter(author=author).count() == 1


def test_a_crash_between_commit_and_acknowledgement_is_repaired(own_log, author, drain_all, monkeypatch):
    own_log.kill()
    accepted = submit(CreatePost("committed"), actor_id=author)
    own_log.start()

    def crash(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(apply, "finish", crash)
        apply.drain(partition_of(accepted.command_id))
    assert InboxCommand.objects.exists()
    drain_all()
    assert status_of(accepted) == "applied"
    assert not InboxCommand.objects.exists()


def test_beat_finds_what_waits_in_the_inbox(own_log, author):
    own_log.kill()
    accepted = submit(CreatePost("waits"), actor_id=author)
    own_log.start()
    assert log.waiting_partitions() == [partition_of(accepted.command_id)]


def test_a_log_that_froze_a_moment_ago_is_not_waited_for(own_log, author, monkeypatch):
    monkeypatch.setattr("socialapp.cqrs.submit.breaker", Breaker(open_for=(60, 60), probe=60))
    with own_log.frozen():
        submit(CreatePost("waits"), actor_id=author)
        started = time.monotonic()
        for _ in range(5):
            submit(CreatePost("does not"), actor_id=author)
        assert time.monotonic() - started < TIMEOUT


def test_without_log_and_primary_a_write_is_refused(own_log, author, monkeypatch):
    def down(*_, **__):
        raise routing.OperationalError("down")

    monkeypatch.setattr(inbox, "put", down)
    with own_log.frozen(), pytest.raises(Unavailable) as refusal:
        submit(CreatePost("nowhere"), actor_id=author)
    assert (refusal.value.status, int(refusal.value.headers["Retry-After"]) > 0) == (503, True)


@pytest.mark.parametrize("limit", ["INBOX_MOST_BYTES", "INBOX_MOST_PER_USER"])
def test_the_inbox_has_a_limit_in_bytes(own_log, author, drain_all, settings, limit):
    with connections["default"].cursor() as cursor:
        # Earlier commands are gone, as after autovacuum; what stays of the table counts.
        cursor.execute("VACUUM cqrs_inboxcommand")
        cursor.execute("SELECT pg_table_size('cqrs_inboxcommand')")
        (size,) = cursor.fetchone()
    own_log.kill()
    setattr(settings, limit, size + 30_000 if limit == "INBOX_MOST_BYTES" else 2_000)
    first = submit(CreatePost("once"), actor_id=author, **KEYED)
    accepted = [first]
    with pytest.raises(Overloaded) as refusal:
        while len(accepted) < 500:
            accepted.append(submit(CreatePost(secrets.token_hex(500)), actor_id=author))
    assert int(refusal.value.headers["Retry-After"]) > 0
    assert ("of yours" in refusal.value.detail) == (limit == "INBOX_MOST_PER_USER")
    assert InboxCommand.objects.count() == len(accepted) > 1
    assert submit(CreatePost("once"), actor_id=author, **KEYED).command_id == first.command_id, "a repeat is answered"
    if limit == "INBOX_MOST_PER_USER":
        accepted.append(submit(LikePost(), actor_id=new_id(), resource_id=first.resource_id))
    own_log.start()
    drain_all()
    assert [status_of(one) for one in accepted[:2]] == ["applied"] * 2
    assert Post.objects.filter(author=author).exists() and not InboxCommand.objects.exists()


CLOCK_BEHIND = "import time; now = time.time; time.time = lambda: now() - 3600"


def test_the_inbox_does_not_ask_the_web_servers_clock(own_log, author):
    own_log.kill()
    crashes.run(SUBMIT_POST.format(author=author), before=CLOCK_BEHIND)
    own_log.start()
    assert abs(InboxCommand.objects.get().stamp / 1e6 - timezone.now().timestamp()) < 60
