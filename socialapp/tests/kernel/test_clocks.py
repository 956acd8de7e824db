"""Wrong clocks: of a web server, in a presented token, of a partition. None may move what belongs to others."""

import secrets
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from posts.commands import CreatePost, LikePost, UnlikePost
from posts.models import Like, Post
from socialapp.accounts.commands import EditProfile
from socialapp.accounts.models import User
from socialapp.cqrs import apply, backlog, clocks, inbox, keys, log, tasks, valkey
from socialapp.cqrs.clocks import MOST_AHEAD, StampAhead
from socialapp.cqrs.commands import LARGEST_STAMP, Envelope
from socialapp.cqrs.consistency import BadToken, Token
from socialapp.cqrs.execute import execute
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.models import CommandResult, Event, InboxClock, InboxCommand
from socialapp.cqrs.submit import submit
from socialapp.tests import crashes

PARTITION = 5
TWO_DAYS = 2 * 86400
REGISTER = """
from socialapp.accounts.commands import RegisterUser
from socialapp.cqrs.execute import execute
print(execute(RegisterUser("{name}", "!"), actor_id=None).token.encode())
"""

pytestmark = pytest.mark.usefixtures("clean_stores")


def microseconds(seconds: float = 0) -> int:
    """Of a moment so many seconds from now; this process's clock is the servers'."""
    return int((time.time() + seconds) * 1e6)


def is_now(moment) -> bool:
    return abs(moment - timezone.now()) < timedelta(seconds=30)


def clock_of_log() -> int:
    return int(valkey.command_log().get(keys.clock(PARTITION)))


@pytest.fixture
def ahead() -> int:
    """A partition whose clock is two days ahead."""
    stamp = microseconds(TWO_DAYS)
    valkey.command_log().set(keys.clock(PARTITION), stamp)
    return stamp


@pytest.mark.parametrize("by", [TWO_DAYS, -TWO_DAYS])
def test_a_web_server_with_a_wrong_clock_moves_nobody_elses_data(author, by):
    """given a client that was registered by such a server"""
    name = f"user_{secrets.token_hex(6)}"
    token = crashes.run(REGISTER.format(name=name), before=crashes.CLOCK_OFF.format(by=by)).strip()
    user = User.objects.get(username=name)
    assert is_now(user.date_joined)
    assert is_now(CommandResult.objects.get(resource_id=user.pk).accepted_at)
    assert is_now(Event.objects.get(aggregate_id=user.pk).time)
    # when it presents its token to a partition, and others write there, too
    submit(LikePost(), actor_id=user.pk, resource_id=new_id(PARTITION), token=Token.decode(token))
    others = submit(CreatePost("mine"), actor_id=author, resource_id=new_id(PARTITION))
    apply.drain(PARTITION)
    # then theirs is dated as if nothing had happened
    assert is_now(Post.objects.get(pk=others.resource_id).created_at)
    assert abs(clock_of_log() - microseconds()) < 30e6


def test_a_stamp_too_far_ahead_is_refused_by_every_way_in_and_changes_nothing(author):
    far = Token(stamp=microseconds(60))
    envelope = Envelope(new_id(PARTITION), LikePost(), author, new_id(PARTITION))
    results = CommandResult.objects.count()
    with pytest.raises(StampAhead):
        submit(LikePost(), actor_id=author, resource_id=envelope.resource_id, token=far)
    with pytest.raises(StampAhead):
        inbox.put(envelope, after_stamp=far.stamp)
    with pytest.raises(StampAhead) as refusal:
        execute(EditProfile(name="Nobody"), actor_id=author, resource_id=author, token=far)
    assert (refusal.value.status, refusal.value.code) == (400, "invalid_consistency_token")
    assert log.backlog(PARTITION) == 0 and not valkey.command_log().exists(keys.clock(PARTITION))
    assert not InboxCommand.objects.exists() and not InboxClock.objects.exists()
    assert CommandResult.objects.count() == results and User.objects.get(pk=author).name != "Nobody"


def test_a_stamp_a_little_ahead_is_followed_by_every_way_in(author):
    near = microseconds(MOST_AHEAD / 1e6 - 2)
    envelope = Envelope(new_id(PARTITION), LikePost(), author, new_id(PARTITION))
    assert log.append(envelope, after_stamp=near).stamp == near + 1
    assert inbox.put(envelope, after_stamp=near).stamp == near + 1
    done = execute(EditProfile(name="Ada"), actor_id=author, resource_id=author, token=Token(stamp=near))
    assert done.token.stamp == near + 1


def test_a_partition_whose_clock_is_ahead_keeps_its_order_and_infects_no_token(author, ahead):
    post = submit(CreatePost("first"), actor_id=author, resource_id=new_id(PARTITION))
    like = submit(LikePost(), actor_id=author, resource_id=post.resource_id, token=post.token)
    assert clock_of_log() == ahead + 2, "the order of the partition's commands"
    assert like.token.stamp <= microseconds(1), "no other partition may follow"
    apply.drain(PARTITION)
    assert is_now(Post.objects.get(pk=post.resource_id).created_at)
    assert is_now(CommandResult.objects.get(pk=post.command_id).accepted_at)
    assert [is_now(event.time) for event in Event.objects.filter(command_id=post.command_id)] == [True]


def test_the_inbox_infects_neither_tokens_nor_the_log(author):
    stamp = microseconds(TWO_DAYS)
    InboxClock.objects.create(partition=PARTITION, stamp=stamp)
    envelope = Envelope(new_id(PARTITION), CreatePost("kept"), author, new_id(PARTITION))
    assert inbox.put(envelope, after_stamp=0).stamp <= microseconds(1)
    assert InboxClock.objects.get().stamp == stamp + 1
    log.read(PARTITION, limit=10)
    assert clock_of_log() <= microseconds(MOST_AHEAD / 1e6)


def test_what_waits_in_a_partition_whose_clock_is_ahead_has_an_age_and_is_woken(author, ahead, monkeypatch):
    woken = []
    monkeypatch.setattr("socialapp.cqrs.waking.wake_partition", lambda *wake: woken.append(wake))
    submit(LikePost(), actor_id=author, resource_id=new_id(PARTITION))
    assert 0 < backlog.in_log()[PARTITION].seconds < 30
    tasks.wake_partitions()
    assert len(woken) == 1, "the message is new"
    monkeypatch.setattr("socialapp.cqrs.waking.LOST_AFTER", 0.0)
    tasks.wake_partitions()
    assert len(woken) == 2, "the first message counts as lost"


def test_a_wake_flag_from_before_the_clock_was_set_back_counts_as_lost():
    valkey.command_log().set(keys.wake(PARTITION), microseconds(TWO_DAYS))
    assert log.set_wake(PARTITION, older_than=2.0)


@pytest.mark.parametrize("stamp", [10**18, LARGEST_STAMP + 1, -1])
def test_an_entry_with_an_impossible_stamp_is_set_aside_and_stops_nobody(author, stamp):
    envelope = Envelope(new_id(PARTITION), CreatePost("when?"), author, new_id(PARTITION))
    valkey.command_log().xadd(keys.stream(PARTITION), {"c": envelope.encode(), "s": stamp})
    after = submit(CreatePost("after"), actor_id=author, resource_id=new_id(PARTITION))
    apply.drain(PARTITION)
    assert Post.objects.filter(pk=after.resource_id).exists()
    assert valkey.command_log().xlen(keys.unreadable(PARTITION)) == 1 and log.backlog(PARTITION) == 0


def test_a_partition_clock_that_no_clock_can_have_made_is_not_followed(author):
    valkey.command_log().set(keys.clock(PARTITION), 10**18)
    InboxClock.objects.create(partition=PARTITION, stamp=10**18)
    post = submit(CreatePost("now"), actor_id=author, resource_id=new_id(PARTITION))
    inbox.put(Envelope(new_id(PARTITION), LikePost(), author, post.resource_id), after_stamp=0)
    apply.drain(PARTITION)
    assert is_now(Post.objects.get(pk=post.resource_id).created_at)
    assert Like.objects.get(post=post.resource_id).stamp < microseconds(1)


def test_a_like_from_a_clock_that_was_ahead_can_be_taken_back(author, ahead):
    post = submit(CreatePost("host"), actor_id=author, resource_id=new_id(PARTITION)).resource_id
    submit(LikePost(), actor_id=author, resource_id=post)
    apply.drain(PARTITION)
    valkey.command_log().delete(keys.clock(PARTITION))
    submit(UnlikePost(), actor_id=author, resource_id=post)
    apply.drain(PARTITION)
    assert Like.objects.get(post=post).active is False


def test_an_old_like_does_not_win_against_a_later_unlike_from_the_same_clock(author, ahead):
    post = submit(CreatePost("host"), actor_id=author, resource_id=new_id(PARTITION)).resource_id
    late = Envelope(new_id(PARTITION), LikePost(), author, post, stamp=ahead)
    submit(UnlikePost(), actor_id=author, resource_id=post)
    apply.drain(PARTITION)
    log.append(late, after_stamp=0)
    apply.drain(PARTITION)
    assert Like.objects.get(post=post).active is False


@pytest.mark.parametrize(
    "token",
    [
        Token(2**32, 1),
        Token(-1, 1),
        Token(1, 2**63),
        Token(1, -1),
        Token(1, 1, -1),
        Token(1, 1, LARGEST_STAMP + 1),
        Token(1, 1, older={1: "x"}),
        Token("1", 1),
        Token(older={2**40: 5}),
    ],
)
def test_a_signed_token_with_numbers_that_no_server_gives_is_refused(token):
    with pytest.raises(BadToken):
        Token.decode(token.encode())


def test_the_limit_is_for_what_a_client_presents():
    now = microseconds()
    assert clocks.carried(now + MOST_AHEAD, now) == now + MOST_AHEAD
    assert clocks.carried(now + MOST_AHEAD + 1, now) == now
    clocks.require_present(now + MOST_AHEAD, now)
    with pytest.raises(StampAhead):
        clocks.require_present(now + MOST_AHEAD + 1, now)
