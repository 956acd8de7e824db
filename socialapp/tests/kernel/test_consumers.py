"""Event consumers: in order, past no running transaction, each with its own offset; the indigestible is parked."""

import secrets
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.utils.timezone import now

from posts.commands import CreatePost, DeletePost
from socialapp.accounts.commands import RegisterUser
from socialapp.accounts.models import User
from socialapp.cqrs import consumers, progress
from socialapp.cqrs.consumers import Consumer
from socialapp.cqrs.execute import execute
from socialapp.cqrs.models import ConsumerOffset, Event, ParkedEvent
from socialapp.cqrs.submit import submit


@pytest.fixture
def watcher(author):
    """A consumer that notes what it gets, starting after everything that has happened so far."""
    name, seen = f"watcher-{secrets.token_hex(4)}", []

    def consume(events):
        seen.extend(events)

    consumers._consumers[name] = Consumer(name, consume, outside=False)
    last = Event.objects.order_by("-xid", "-position").first()
    ConsumerOffset.objects.create(consumer=name, xid=last.xid, position=last.position)
    yield name, seen
    consumers._consumers.pop(name)


def test_events_come_in_order_and_once(author, drain_all, watcher):
    name, seen = watcher
    made = [submit(CreatePost(f"n{n}"), actor_id=author) for n in range(20)]
    drain_all()
    consumers.run(name)
    consumers.run(name)
    assert {recorded.command_id for recorded in seen} == {accepted.command_id for accepted in made}
    assert len(seen) == 20
    assert [(r.xid, r.position) for r in seen] == sorted((r.xid, r.position) for r in seen)


def test_a_slow_transactions_events_are_not_skipped(author, drain_all, watcher):
    name, seen = watcher
    slow = psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor, "context": None})
    slow.execute("SELECT pg_current_xact_id()")
    submit(CreatePost("fast"), actor_id=author)
    drain_all()
    consumers.run(name)
    assert seen == [], "an older transaction still runs, and may yet write an event with a lower number"
    slow.commit()
    slow.close()
    consumers.run(name)
    assert len(seen) == 1


def test_the_offset_moves_with_the_effect(author, drain_all, watcher):
    name, _ = watcher

    def consume(events):
        User.objects.filter(pk=author).update(bio="touched")
        raise KeyboardInterrupt

    consumers._consumers[name] = Consumer(name, consume, outside=False)
    before = ConsumerOffset.objects.get(consumer=name).position
    submit(CreatePost("x"), actor_id=author)
    drain_all()
    with pytest.raises(KeyboardInterrupt):
        consumers.run(name)
    assert ConsumerOffset.objects.get(consumer=name).position == before
    assert User.objects.get(pk=author).bio == ""


@pytest.mark.parametrize("outside", [False, True])
def test_an_indigestible_event_is_parked_and_delays_no_other(author, drain_all, watcher, outside):
    name, seen = watcher

    def consume(events):
        if any(recorded.event.text == "bad" for recorded in events):
            raise ValueError("cannot digest")
        seen.extend(events)

    consumers._consumers[name] = Consumer(name, consume, outside=outside)
    for text in ("good", "bad", "better"):
        submit(CreatePost(text), actor_id=author)
    drain_all()
    consumers.run(name)
    assert sorted(recorded.event.text for recorded in seen) == ["better", "good"]
    assert "cannot digest" in ParkedEvent.objects.get(consumer=name).error


def test_a_lease_keeps_a_second_runner_out(author, drain_all, watcher):
    name, seen = watcher
    second = []

    def consume(events):
        consumers._consumers[name] = Consumer(name, second.extend, outside=True)
        consumers.run(name)
        seen.extend(events)

    consumers._consumers[name] = Consumer(name, consume, outside=True)
    submit(CreatePost("once"), actor_id=author)
    drain_all()
    consumers.run(name)
    assert (len(seen), second) == (1, [])


@pytest.mark.parametrize("outside", [False, True])
def test_who_stops_early_gets_the_rest_again(author, drain_all, watcher, outside):
    name, seen = watcher

    def consume(events) -> int:
        seen.append(events[0])
        return 1

    consumers._consumers[name] = Consumer(name, consume, outside=outside)
    made = [submit(CreatePost(f"n{n}"), actor_id=author) for n in range(5)]
    drain_all()
    while consumers.run(name):
        pass
    assert len(seen) == 5 and {one.command_id for one in seen} == {accepted.command_id for accepted in made}


def test_what_was_parked_is_tried_again_by_itself_after_a_while(author, drain_all, watcher):
    name, seen = watcher
    fails = True

    def consume(events):
        if fails:
            raise ValueError("not now")
        seen.extend(events)

    consumers._consumers[name] = Consumer(name, consume, outside=True, retry_after=timedelta(minutes=10))
    submit(CreatePost("later"), actor_id=author)
    drain_all()
    consumers.run(name)
    parked = ParkedEvent.objects.filter(consumer=name)
    parked.update(parked_at=now() - timedelta(minutes=11))
    consumers.run(name)
    assert parked.filter(parked_at__gt=now() - timedelta(minutes=5)).exists(), "it was tried, and is parked again"
    fails = False
    consumers.run(name)
    assert seen == [], "ten minutes are not over"
    parked.update(parked_at=now() - timedelta(minutes=11))
    consumers.run(name)
    assert [one.event.text for one in seen] == ["later"] and not parked.exists()


def test_post_counts(author, drain_all):
    made = [submit(CreatePost(f"n{n}"), actor_id=author).resource_id for n in range(3)]
    submit(DeletePost(), actor_id=author, resource_id=made[0])
    drain_all()
    while consumers.run("post-counts"):
        pass
    user = User.objects.get(pk=author)
    assert user.post_count == 2
    assert Event.objects.filter(aggregate_id=author, type="PostsCounted").exists()


def test_a_consumer_of_one_kind_of_events_is_neither_woken_by_others_nor_reads_them(author, drain_all, watcher):
    name, seen = watcher
    consumers._consumers[name] = replace(consumers._consumers[name], aggregate="user")
    submit(CreatePost("not for it"), actor_id=author)
    drain_all()
    assert (name, 0) not in consumers.all_lanes({"post"}) and (name, 0) in consumers.all_lanes({"post", "user"})
    assert (name, 0) in consumers.all_lanes(), "beat wakes all"
    consumers.run(name)
    assert seen == []
    offset = ConsumerOffset.objects.get(consumer=name)
    last = Event.objects.order_by("-xid", "-position").first()
    assert (offset.xid, offset.position) == (last.xid, last.position), "past what is not for it"
    other = execute(RegisterUser(f"user_{secrets.token_hex(6)}", "!"), actor_id=None).resource_id
    consumers.run(name)
    assert [recorded.aggregate_id for recorded in seen] == [other]


@pytest.mark.parametrize("change", ['payload || \'{"mood": "happy"}\'', "payload - 'author_id'"])
def test_an_event_whose_fields_are_others_waits_for_a_newer_process(author, drain_all, watcher, change):
    """A field was added, or renamed, without a new version: during the deployment old processes meet it."""
    name, seen = watcher
    accepted = submit(CreatePost("first"), actor_id=author)
    drain_all()
    changed = Event.objects.get(command_id=accepted.command_id)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE cqrs_event SET payload = {change} WHERE position = %s", [changed.pk])
    try:
        consumers.run(name)
        assert seen == [] and not ParkedEvent.objects.filter(consumer=name).exists()
        assert progress.of_lane(ConsumerOffset.objects.get(consumer=name)).state == "waits for a newer process"
    finally:
        Event.objects.filter(pk=changed.pk).update(payload=changed.payload)
    consumers.run(name)
    assert [recorded.command_id for recorded in seen] == [accepted.command_id]
