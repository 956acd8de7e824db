"""A log without a byte left: what it holds is applied, what comes goes to the inbox, and nobody is blamed."""

from collections.abc import Iterator

import pytest

from config.settings import caches
from deploy.embedded import binaries
from posts.commands import CreatePost, LikePost
from posts.models import Post
from socialapp.cqrs import apply, deferrals, keys, log, outcomes, suspects, tasks, valkey
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.models import InboxCommand
from socialapp.cqrs.submit import submit
from socialapp.tests.valkeys import ValkeyLog, valkey_log

KEYED = {"idempotency_key": "k", "fingerprint": "f"}


@pytest.fixture(scope="module")
def own_log(servers, tmp_path_factory) -> Iterator[ValkeyLog]:
    with valkey_log(binaries.valkey(), tmp_path_factory.mktemp("log")) as server:
        yield server


@pytest.fixture(autouse=True)
def on_own_log(own_log, settings, monkeypatch, fresh, clean_stores):
    own_log.client().flushdb()
    settings.CACHES = settings.CACHES | {"command_log": caches.valkey(own_log.url, timeout=2)}
    monkeypatch.setattr("socialapp.cqrs.submit.breaker", Breaker(open_for=(60, 60), probe=60))
    monkeypatch.setattr(outcomes, "_breaker", Breaker(open_for=(0, 0), probe=0))


def statuses(*accepted) -> list[str]:
    found = outcomes.lookup([one.command_id for one in accepted])
    return [found[one.command_id].status for one in accepted]


def test_what_a_full_log_holds_is_applied(own_log, author, drain_all):
    """Also from partitions that nobody has read before, which have no reader group yet."""
    accepted = [submit(CreatePost("waits"), actor_id=author) for _ in range(30)]
    with own_log.full():
        drain_all()
        assert statuses(*accepted) == ["applied"] * 30
        assert log.waiting_partitions() == []
    assert Post.objects.filter(author=author).count() == 30


def test_what_comes_while_the_log_is_full_goes_to_the_inbox_and_is_applied_from_there(own_log, author, drain_all):
    submit(CreatePost("wakes the connection"), actor_id=author)
    with own_log.full():
        accepted = [submit(CreatePost("no room"), actor_id=author) for _ in range(3)]
        keyed = [submit(CreatePost("once"), actor_id=author, **KEYED) for _ in range(2)]
        assert InboxCommand.objects.count() == 4
        assert keyed[0].command_id == keyed[1].command_id and keyed[1].replayed
        drain_all()
        assert statuses(*accepted, *keyed) == ["applied"] * 5
        assert not InboxCommand.objects.exists()


def test_a_log_that_has_room_again_is_used_at_once(own_log, author):
    with own_log.full():
        submit(CreatePost("no room"), actor_id=author)
    accepted = submit(CreatePost("room"), actor_id=author)
    assert not InboxCommand.objects.filter(pk=accepted.command_id).exists()
    assert log.backlog(partition_of(accepted.command_id)) >= 1


def test_a_command_can_wait_for_another_partition_in_a_full_log(own_log, author, drain_all):
    """Its author is registered elsewhere and not there yet; behind it is a command that needs nothing."""
    host = submit(CreatePost("host"), actor_id=author).resource_id
    drain_all()
    early = submit(LikePost(), actor_id=new_id(), resource_id=host)
    other = submit(LikePost(), actor_id=author, resource_id=host)
    with own_log.full():
        apply.drain(partition_of(host))
        assert statuses(other) == ["applied"]
        assert [one.entry.stamp for one in deferrals.read(partition_of(host))[1]] == [early.token.stamp]


def test_an_entry_that_is_no_command_leaves_a_full_log_free_to_go_on(own_log, author, drain_all):
    accepted = submit(CreatePost("behind it"), actor_id=author)
    partition = partition_of(accepted.command_id)
    valkey.command_log().xadd(keys.stream(partition), {"c": b"no command", "s": 1})
    with own_log.full():
        drain_all()
        assert statuses(accepted) == ["applied"]
    assert valkey.command_log().xlen(keys.unreadable(partition)) == 1


def test_a_worker_that_dies_is_noted_in_a_full_log(own_log, author):
    with own_log.full(), pytest.raises(SystemExit), suspects.watched(3, suspects.BATCH):
        raise SystemExit
    assert valkey.command_log().hgetall(keys.deaths(3)) == {b"batch": b"1"}


def test_workers_are_woken_for_a_full_log(own_log, author, monkeypatch):
    woken = []
    monkeypatch.setattr("socialapp.cqrs.waking.wake_partition", lambda partition, wake=None: woken.append(partition))
    accepted = submit(CreatePost("waits"), actor_id=author)
    woken.clear()
    log.clear_wake(partition_of(accepted.command_id))
    with own_log.full():
        tasks.wake_partitions()
    assert woken == [partition_of(accepted.command_id)]
