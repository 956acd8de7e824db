"""A log without a byte left: what it holds is applied, what comes goes to the inbox, and nobody is blamed."""

from collections.abc import Iterator

import pytest

from config.settings import caches
from deploy.embedded import binaries
from posts.commands import CreatePost, EditPost, LikePost
from posts.models import Post
from socialapp.cqrs import apply, claims, deferrals, keys, log, memory, outcomes, retention, suspects, tasks, valkey
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.ids import PARTITIONS, new_id, partition_of
from socialapp.cqrs.models import InboxCommand
from socialapp.cqrs.problems import Overloaded
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


def test_a_repeat_after_a_full_log_gets_the_first_answer(own_log, author, drain_all, monkeypatch):
    """The worker that applied the first command could not claim its key: the log had no room."""
    monkeypatch.setattr(claims, "_note_again_at", 0.0)
    claims.note_losses(None)
    with own_log.full():
        first = submit(CreatePost("once"), actor_id=author, **KEYED)
        drain_all()
    # As in a web server, which does not know how full the log was.
    memory.note(0)
    again = submit(CreatePost("once"), actor_id=author, **KEYED)
    assert again.replayed and (again.command_id, again.resource_id) == (first.command_id, first.resource_id)


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
    elsewhere = (partition_of(host) + 1) % PARTITIONS
    early = submit(LikePost(), actor_id=new_id(elsewhere), resource_id=host)
    other = submit(LikePost(), actor_id=author, resource_id=host)
    with own_log.full():
        apply.drain(partition_of(host))
        assert statuses(other) == ["applied"]
        assert [one.entry.stamp for one in deferrals.read(partition_of(host))[1]] == [early.token.stamp]


def test_a_command_of_the_inbox_that_is_set_aside_in_a_full_log_is_known(own_log, author, drain_all):
    host = submit(CreatePost("host"), actor_id=author).resource_id
    drain_all()
    elsewhere = (partition_of(host) + 1) % PARTITIONS
    with own_log.full():
        early = submit(LikePost(), actor_id=new_id(elsewhere), resource_id=host)
        assert InboxCommand.objects.filter(pk=early.command_id).exists()
        apply.drain(partition_of(host))
        assert deferrals.read(partition_of(host))[1] and not InboxCommand.objects.exists()
        assert statuses(early) == ["accepted"]


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


@pytest.fixture
def limited(own_log):
    """limited(share): the log's memory is limited so that so much of it is used."""
    client = own_log.client()

    def limit(share: float) -> None:
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] / share))

    yield limit
    client.config_set("maxmemory", 0)
    memory.note(0)


def test_the_last_quarter_of_the_log_is_kept_for_applying(author, drain_all, limited):
    # Each append in a partition of its own: the second one of a tenth of a second does not look at the memory.
    before = submit(CreatePost("before"), actor_id=author, resource_id=new_id(5))
    # Well above the limit of 0.75: what is used shrinks by itself when a buffer of a connection does.
    limited(0.9)
    accepted = submit(CreatePost("no room"), actor_id=author, **KEYED)
    assert partition_of(accepted.command_id) not in (5, 6)
    assert [command.pk for command in InboxCommand.objects.all()] == [accepted.command_id]
    assert not list(valkey.command_log().scan_iter("*idempotency*")), "the inbox knows the key"
    assert submit(CreatePost("no room"), actor_id=author, **KEYED).replayed
    with pytest.raises(log.NoRoom):
        log.append(Envelope(new_id(6), CreatePost("no room"), author, new_id(6)), after_stamp=0)
    drain_all()
    assert statuses(before, accepted) == ["applied"] * 2
    limited(0.5)
    after = submit(CreatePost("room"), actor_id=author)
    assert not InboxCommand.objects.exists()
    assert statuses(after) == ["accepted"]


def test_a_user_cannot_fill_a_partition_alone(author, drain_all, settings):
    settings.LOG_MOST_PER_USER = 3_000
    post = new_id(5)
    for _ in range(2):
        submit(CreatePost("x" * 1_000), actor_id=author, resource_id=post)
    with pytest.raises(Overloaded) as refusal:
        submit(CreatePost("x" * 1_000), actor_id=author, resource_id=post)
    assert "of your writes" in refusal.value.detail and int(refusal.value.headers["Retry-After"]) > 0
    submit(CreatePost("x" * 1_000), actor_id=new_id(), resource_id=post)
    submit(CreatePost("x" * 1_000), actor_id=author, resource_id=new_id(6))
    apply.drain(5)
    submit(CreatePost("x" * 1_000), actor_id=author, resource_id=post)
    assert valkey.command_log().hlen(keys.held(5)) == 1
    apply.drain(5)
    assert not valkey.command_log().exists(keys.held(5))


def test_what_is_applied_no_longer_counts_although_more_waits(author, settings):
    settings.LOG_MOST_PER_USER = 3_000
    post = new_id(5)
    for _ in range(2):
        submit(CreatePost("x" * 1_000), actor_id=author, resource_id=post)
    log.acknowledge(5, log.read(5, limit=1))
    submit(CreatePost("x" * 1_000), actor_id=author, resource_id=post)
    with pytest.raises(Overloaded):
        submit(CreatePost("x" * 1_000), actor_id=author, resource_id=post)


def test_one_command_larger_than_the_quota_is_taken(author, settings):
    settings.LOG_MOST_PER_USER = 100
    submit(CreatePost("x" * 1_000), actor_id=author, resource_id=new_id(5))


def test_applied_commands_are_retained_up_to_a_share_of_the_memory(author, drain_all, limited, settings):
    settings.LOG_RETAINED_SHARE, most = 0.5, 1_000_000
    post = submit(CreatePost("x"), actor_id=author).resource_id
    partition = partition_of(post)
    for number in range(100):
        submit(EditPost(f"{number}" + "\N{GRINNING FACE}" * 2_000), actor_id=author, resource_id=post)
    stream = keys.stream(partition)
    drain_all()
    assert valkey.command_log().memory_usage(stream, samples=0) > 800_000
    waiting = submit(EditPost("waits"), actor_id=author, resource_id=post)
    # given room for half of a million bytes in each partition
    valkey.command_log().config_set("maxmemory", 16 * most)
    retention.trim()
    assert 300_000 < valkey.command_log().memory_usage(stream, samples=0) < 600_000
    assert log.backlog(partition) == 1
    # when the limit leaves nothing, what waits stays all the same
    settings.LOG_RETAINED_SHARE = 0
    retention.trim()
    assert log.backlog(partition) == 1
    drain_all()
    assert statuses(waiting) == ["applied"]


def test_a_drain_trims_what_a_full_log_retains(author, limited, settings):
    """Beat's tick comes through the state store, which may be down or full as well."""
    settings.LOG_RETAINED_SHARE = 0.001
    for _ in range(3):
        accepted = submit(CreatePost("x" * 5_000), actor_id=author, resource_id=new_id(5))
    limited(0.7)
    tasks.apply_commands(partition_of(accepted.command_id))
    assert valkey.command_log().xlen(keys.stream(5)) == 1


@pytest.mark.parametrize(("share", "claimed", "outcome"), [(0.2, 86_400, 120), (0.45, 17_760, 32), (0.6, 600, 10)])
def test_what_postgres_knows_too_is_remembered_for_less_time_in_a_fuller_log(
    author, limited, drain_all, share, claimed, outcome
):
    limited(share)
    submit(CreatePost("measures"), actor_id=author)
    limited(share)
    submit(CreatePost("measures"), actor_id=author)
    accepted = submit(CreatePost("once"), actor_id=author, **KEYED)
    (claim,) = valkey.command_log().scan_iter("*idempotency*")
    assert valkey.command_log().ttl(claim) == pytest.approx(claimed, rel=0.2)
    drain_all()
    assert valkey.command_log().ttl(keys.status(accepted.command_id)) == pytest.approx(outcome, rel=0.2, abs=2)
