"""What has to wait is set aside: it neither stops its partition nor loses its place, and no crash loses it."""

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from django.db import connections

from posts.commands import CreateComment, CreatePost, EditPost, LikePost
from posts.models import Post
from socialapp.accounts.models import User
from socialapp.cqrs import apply, batches, commands, deferrals, keys, log, outcomes, settle, tasks, valkey, waking
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.models import CommandResult, DeadLetter
from socialapp.cqrs.submit import submit
from socialapp.tests.kernel import mortal

PARTITION = 5


@pytest.fixture
def post(author, drain_all):
    accepted = submit(CreatePost("first"), actor_id=author, resource_id=new_id(PARTITION))
    drain_all()
    return accepted.resource_id


@pytest.fixture
def newcomer():
    """The id of a user on another partition, whose row is not there yet."""
    return new_id(PARTITION + 1)


@pytest.fixture
def clock(monkeypatch):
    """Time stands still for deferrals; the function that this gives moves it on."""
    real, now = deferrals.read, [deferrals.read(PARTITION)[0]]
    monkeypatch.setattr(deferrals, "read", lambda partition: (now[0], real(partition)[1]))
    return lambda microseconds: now.__setitem__(0, now[0] + microseconds)


@contextmanager
def deployed_before_likes():
    """This process, as it was when there were no likes yet."""
    with pytest.MonkeyPatch.context() as patched:
        patched.delitem(commands._types, ("LikePost", 1))
        yield


def register(user_id):
    User.objects.create(pk=user_id, username=f"late_{secrets.token_hex(6)}")


def statuses(*accepted) -> list[str]:
    found = outcomes.lookup([one.command_id for one in accepted])
    return [found[one.command_id].status for one in accepted]


def waiting() -> int:
    return len(deferrals.read(PARTITION)[1])


def test_a_command_waits_for_what_comes_from_another_partition(post, author, newcomer, clock):
    early = submit(LikePost(), actor_id=newcomer, resource_id=post)
    other = submit(LikePost(), actor_id=author, resource_id=post)
    assert apply.drain(PARTITION) is False
    assert statuses(early, other) == ["accepted", "applied"], "nobody else waits"
    assert not CommandResult.objects.filter(pk=early.command_id).exists()
    assert (waiting(), log.backlog(PARTITION)) == (1, 0)
    register(newcomer)
    apply.drain(PARTITION)
    assert statuses(early) == ["accepted"], "it is not due"
    clock(deferrals.PAUSE)
    apply.drain(PARTITION)
    assert statuses(early) == ["applied"]
    assert Post.objects.get(pk=post).like_count == 2
    assert waiting() == 0


def test_it_waits_for_five_seconds_at_most(post, newcomer, clock):
    early = submit(CreateComment(str(post), "who am I?"), actor_id=newcomer)
    apply.drain(PARTITION)
    for _ in range(deferrals.PATIENCE // deferrals.PAUSE - 1):
        clock(deferrals.PAUSE)
        apply.drain(PARTITION)
    assert statuses(early) == ["accepted"]
    clock(deferrals.PAUSE)
    apply.drain(PARTITION)
    outcome = outcomes.lookup([early.command_id])[early.command_id]
    assert (outcome.status, outcome.problem["status"]) == ("rejected", 401)
    assert waiting() == 0 and not DeadLetter.objects.filter(pk=early.command_id).exists()


def test_later_commands_on_its_aggregate_wait_behind_it(newcomer, author, post, clock):
    created = submit(CreatePost("draft"), actor_id=newcomer, resource_id=new_id(PARTITION))
    edited = submit(EditPost("final"), actor_id=newcomer, resource_id=created.resource_id)
    apply.drain(PARTITION)
    again = submit(EditPost("last"), actor_id=newcomer, resource_id=created.resource_id)
    elsewhere = submit(EditPost("second"), actor_id=author, resource_id=post)
    apply.drain(PARTITION)
    assert statuses(created, edited, again, elsewhere) == ["accepted", "accepted", "accepted", "applied"]
    register(newcomer)
    clock(deferrals.PAUSE)
    apply.drain(PARTITION)
    assert statuses(created, edited, again) == ["applied"] * 3
    assert Post.objects.get(pk=created.resource_id).text == "last"
    assert waiting() == 0


def test_they_wait_also_when_the_batch_has_to_be_halved(newcomer, author, post, clock):
    created = submit(CreatePost("draft"), actor_id=newcomer, resource_id=new_id(PARTITION))
    poison = submit(CreateComment(str(post), "x" * 2001), actor_id=author)
    edited = submit(EditPost("final"), actor_id=newcomer, resource_id=created.resource_id)
    apply.drain(PARTITION)
    assert statuses(created, poison, edited) == ["accepted", "failed", "accepted"]
    register(newcomer)
    clock(deferrals.PAUSE)
    apply.drain(PARTITION)
    assert statuses(created, edited) == ["applied", "applied"]


@pytest.mark.parametrize("window", ["before socialapp.cqrs.deferrals.put", "after socialapp.cqrs.deferrals.put"])
def test_a_crash_while_it_is_set_aside_loses_nothing(post, newcomer, window, clock):
    early = submit(LikePost(), actor_id=newcomer, resource_id=post)
    assert mortal.run(PARTITION, window) == mortal.KILLED
    apply.drain(PARTITION)
    register(newcomer)
    clock(deferrals.PAUSE)
    apply.drain(PARTITION)
    assert statuses(early) == ["applied"]
    assert Post.objects.get(pk=post).like_count == 1
    assert (waiting(), log.backlog(PARTITION)) == (0, 0)


@pytest.mark.parametrize("window", ["before socialapp.cqrs.settle.settle", "before socialapp.cqrs.deferrals.remove"])
def test_a_crash_while_it_is_taken_back_doubles_nothing(post, author, window):
    with deployed_before_likes():
        like = submit(LikePost(), actor_id=author, resource_id=post)
        apply.drain(PARTITION)
    assert (waiting(), log.backlog(PARTITION)) == (1, 0)
    assert mortal.run(PARTITION, window) == mortal.KILLED
    assert waiting() == 1
    apply.drain(PARTITION)
    assert statuses(like) == ["applied"]
    assert Post.objects.get(pk=post).like_count == 1
    assert waiting() == 0


def test_the_tick_wakes_partitions_in_which_something_waits(post, newcomer, monkeypatch):
    submit(LikePost(), actor_id=newcomer, resource_id=post)
    apply.drain(PARTITION)
    woken = []
    monkeypatch.setattr(waking, "wake_partition", lambda partition, wake: woken.append(partition))
    tasks.wake_partitions()
    assert woken == [PARTITION]


def test_a_command_of_a_newer_deploy_waits_and_stops_nobody(post, author):
    with deployed_before_likes():
        like = submit(LikePost(), actor_id=author, resource_id=post)
        comment = submit(CreateComment(str(post), "commutes with likes"), actor_id=author)
        edit = submit(EditPost("after the like"), actor_id=author, resource_id=post)
        other = submit(CreatePost("other"), actor_id=author, resource_id=new_id(PARTITION))
        assert apply.drain(PARTITION) is False
        assert apply.drain(PARTITION) is False
        assert statuses(like, comment, edit, other) == ["accepted", "applied", "accepted", "applied"]
        assert not DeadLetter.objects.filter(pk=like.command_id).exists()
    apply.drain(PARTITION)
    assert statuses(like, edit) == ["applied", "applied"]
    row = Post.objects.get(pk=post)
    assert (row.text, row.like_count, row.comment_count) == ("after the like", 1, 1)
    assert waiting() == 0


@pytest.mark.parametrize("newer", [(b'"version":1', b'"version":77'), (b'"payload":{}', b'"payload":{"mood":"happy"}')])
def test_so_does_one_of_a_newer_version_or_with_a_newer_field(post, author, newer):
    envelope = Envelope(new_id(PARTITION), LikePost(), author, post)
    valkey.command_log().xadd(keys.stream(PARTITION), {"c": envelope.encode().replace(*newer), "s": 1})
    apply.drain(PARTITION)
    assert (waiting(), log.backlog(PARTITION)) == (1, 0)


def test_a_partition_in_which_too_much_waits_stands_still(post, author, monkeypatch):
    monkeypatch.setattr(deferrals, "MOST", 2)
    with deployed_before_likes():
        likes = [submit(LikePost(), actor_id=author, resource_id=post) for _ in range(2)]
        apply.drain(PARTITION)
        later = submit(CreatePost("later"), actor_id=author, resource_id=new_id(PARTITION))
        apply.drain(PARTITION)
        assert statuses(*likes, later) == ["accepted"] * 3
        assert apply.drain(PARTITION) is False, "nobody comes back at once, and in vain"
        assert (waiting(), log.backlog(PARTITION)) == (2, 1), "it is still where it can be counted"
    assert apply.drain(PARTITION) is True, "there is room again"
    apply.drain(PARTITION)
    assert statuses(*likes, later) == ["applied"] * 3


def test_a_command_that_comes_while_nothing_is_found_is_not_left_to_beat(post, author, monkeypatch):
    """Its own wake-up meets the lock and goes away; whoever holds the lock has looked already, and looks again."""
    look, late = batches.read, []

    def looks_too_early(partition, **options):
        found = look(partition, **options)
        if not late:
            late.append(submit(LikePost(), actor_id=author, resource_id=post))
            log.clear_wake(partition)
        return found

    monkeypatch.setattr(batches, "read", looks_too_early)
    assert apply.drain(PARTITION) is True


def test_a_command_that_another_worker_is_setting_aside_is_not_overtaken(post, newcomer):
    """The first worker has committed, and let go of the lock, but the post that has to wait is not set aside yet. The
    second one reads what was set aside and what the log holds; between the two the first one gets on."""
    created = submit(CreatePost("draft"), actor_id=newcomer, resource_id=new_id(PARTITION))
    committed, looked_once, set_aside = threading.Event(), threading.Event(), threading.Event()
    second_worker = threading.current_thread()

    def first_worker():
        apply.drain(PARTITION)
        set_aside.set()
        connections.close_all()

    put = deferrals.put

    def put_late(*args):
        if threading.current_thread() is not second_worker and args[1]:
            committed.set()
            assert looked_once.wait(20)
        put(*args)

    def then_wait(look):
        def looked(*args, **kwargs):
            found = look(*args, **kwargs)
            if threading.current_thread() is second_worker:
                looked_once.set()
                assert set_aside.wait(20)
            return found

        return looked

    with pytest.MonkeyPatch.context() as patched, ThreadPoolExecutor() as pool:
        patched.setattr(deferrals, "put", put_late)
        first = pool.submit(first_worker)
        assert committed.wait(20)
        edited = submit(EditPost("final"), actor_id=newcomer, resource_id=created.resource_id)
        register(newcomer)
        patched.setattr(deferrals, "read", then_wait(deferrals.read))
        patched.setattr(log, "read", then_wait(log.read))
        apply.drain(PARTITION)
        first.result(20)
    while waiting() or log.backlog(PARTITION):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(deferrals, "read", due_at_once(deferrals.read))
            apply.drain(PARTITION)
    assert statuses(created, edited) == ["applied", "applied"]
    assert Post.objects.get(pk=created.resource_id).text == "final"


def due_at_once(read):
    """Time has passed."""

    def read_later(partition):
        now, found = read(partition)
        return now + deferrals.PAUSE, found

    return read_later


def test_one_key_under_two_ids_waits_for_the_first(post, author, newcomer, clock):
    """A repeat that met a failing log may have got ids of its own. The first one is deferred, and has no result."""
    twins = [Envelope(new_id(PARTITION), CreatePost("once"), newcomer, new_id(PARTITION), 0, "k", "f") for _ in "12"]
    for envelope in twins:
        log.append(envelope, after_stamp=0)
    other = submit(LikePost(), actor_id=author, resource_id=post)
    assert apply.drain(PARTITION) is False
    assert statuses(other) == ["applied"]
    assert (waiting(), log.backlog(PARTITION)) == (2, 0)
    register(newcomer)
    clock(deferrals.PAUSE)
    apply.drain(PARTITION)
    found = outcomes.lookup([envelope.id for envelope in twins])
    assert {outcome.status for outcome in found.values()} == {"applied"}
    assert {outcome.resource_id for outcome in found.values()} == {str(twins[0].resource_id)}
    assert Post.objects.filter(author=newcomer).count() == 1
    assert (waiting(), log.backlog(PARTITION)) == (0, 0)


def test_what_was_set_aside_and_turns_out_to_be_no_command_is_put_away(post, author):
    envelope = Envelope(new_id(PARTITION), LikePost(), author, post)
    later = submit(CreateComment(str(post), "lives"), actor_id=author)
    damaged = [envelope.encode().replace(b'"id":"', b'"id":"x'), b"17 of it", b""]
    for body in damaged:
        deferrals.put(PARTITION, [deferrals.Waiting(log.Entry(b"", body, 17))])
    valkey.command_log().zadd(keys.waiting(PARTITION), {"no member": 1})
    for _ in range(2):
        assert apply.drain(PARTITION) is False
    assert statuses(later) == ["applied"]
    assert (waiting(), log.backlog(PARTITION)) == (0, 0)
    assert valkey.command_log().xlen(keys.unreadable(PARTITION)) == len(damaged) + 1


DAMAGED_ENTRIES = {
    "no command": {"s": "1"},
    "no stamp": {"c": "{}"},
    "a stamp that is no number": {"c": "{}", "s": "soon"},
    "a stamp that is no time": {"c": b"like", "s": str(10**18)},
    "an id that is none": {"c": b"unheard", "s": "1"},
    "an aggregate that is no id": {"c": b"comment", "s": "1"},
}


@pytest.mark.parametrize("damage", DAMAGED_ENTRIES)
def test_a_damaged_entry_of_the_log_stops_nobody(post, author, damage):
    bodies = {
        b"like": Envelope(new_id(PARTITION), LikePost(), author, post).encode(),
        b"unheard": Envelope(new_id(PARTITION), LikePost(), author, post)
        .encode()
        .replace(b'"LikePost"', b'"Unheard"')
        .replace(b'"id":"', b'"id":"x'),
        b"comment": Envelope(new_id(PARTITION), CreateComment({}, "a"), author, new_id(PARTITION)).encode(),
    }
    fields = {name: bodies.get(value, value) for name, value in DAMAGED_ENTRIES[damage].items()}
    valkey.command_log().xadd(keys.stream(PARTITION), fields)
    later = submit(CreateComment(str(post), "lives"), actor_id=author)
    assert apply.drain(PARTITION) is False
    assert statuses(later) == ["applied"]
    assert (waiting(), log.backlog(PARTITION)) == (0, 0)
    assert valkey.command_log().xlen(keys.unreadable(PARTITION)) == 1


def test_a_command_that_was_deleted_by_hand_after_it_was_read_stops_nobody(post, author):
    submit(LikePost(), actor_id=author, resource_id=post)
    (entry,) = log.read(PARTITION, limit=500)
    valkey.command_log().xdel(keys.stream(PARTITION), entry.log_id)
    later = submit(CreateComment(str(post), "lives"), actor_id=author)
    while apply.drain(PARTITION):
        pass
    assert statuses(later) == ["applied"]
    assert log.backlog(PARTITION) == 0


def test_what_cannot_be_read_is_kept_up_to_a_limit(post, author, monkeypatch):
    monkeypatch.setattr(log, "MOST_UNREADABLE", 3)
    for number in range(5):
        valkey.command_log().xadd(keys.stream(PARTITION), {"c": f"{number}", "s": "1"})
    apply.drain(PARTITION)
    kept = valkey.command_log().xrange(keys.unreadable(PARTITION))
    assert [fields[b"c"] for _, fields in kept] == [b"2", b"3", b"4"]


def test_as_many_commands_as_may_wait_are_set_aside_at_once(clean_stores):
    entries = [log.Entry(b"", b"body %d" % number, number) for number in range(deferrals.MOST)]
    deferrals.put(PARTITION, map(deferrals.Waiting, entries))
    assert waiting() == deferrals.MOST


def test_a_failed_announcement_loses_no_command_whose_key_belongs_to_a_deferred_one(post, newcomer, monkeypatch):
    """Of two commands with one key neither has a row while the first one waits for its actor."""

    def fail(envelopes):
        raise ZeroDivisionError("a bug")

    for _ in range(2):
        same = {"idempotency_key": "k", "fingerprint": "f"}
        log.append(Envelope(new_id(PARTITION), LikePost(), newcomer, post, **same), after_stamp=0)
    monkeypatch.setattr(settle, "announce_again", fail)
    apply.apply_batch(PARTITION)
    assert waiting() == 2
