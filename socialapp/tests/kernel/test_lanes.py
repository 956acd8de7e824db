"""Parallel consumers: a lane sees its aggregates' events in order, and a new division neither skips nor doubles."""

import secrets
from collections import Counter, defaultdict
from datetime import timedelta

import pytest
from django.utils.timezone import now

from posts.commands import CreatePost, LikePost, UnlikePost
from socialapp.cqrs import consumers, lanes
from socialapp.cqrs.consumers import Consumer
from socialapp.cqrs.models import ConsumerOffset, Event
from socialapp.cqrs.submit import submit


@pytest.fixture
def divided(author):
    """(name, events seen, declare(lanes, outside)) of a consumer with four lanes that start now."""
    name, seen = f"divided-{secrets.token_hex(4)}", []

    def declare(lanes, *, outside=False):
        consumers._consumers[name] = Consumer(name, seen.extend, outside, lanes)

    declare(4)
    last = Event.objects.order_by("-xid", "-position").first()
    for lane in range(4):
        ConsumerOffset.objects.create(consumer=name, lane=lane, lanes=4, xid=last.xid, position=last.position)
    yield name, seen, declare
    consumers._consumers.pop(name)


@pytest.fixture
def happen(author, drain_all):
    """happen() makes ten posts with three events each; their number."""

    def some_posts() -> int:
        for post in [submit(CreatePost(f"n{n}"), actor_id=author).resource_id for n in range(10)]:
            submit(LikePost(), actor_id=author, resource_id=post)
            drain_all()
            submit(UnlikePost(), actor_id=author, resource_id=post)
        drain_all()
        return 30

    return some_posts


def once_and_in_order(seen) -> bool:
    versions = defaultdict(list)
    for recorded in seen:
        versions[recorded.aggregate_id].append(recorded.aggregate_version)
    return all(found == list(range(1, len(found) + 1)) for found in versions.values())


def test_lanes_divide_the_aggregates_and_keep_their_order(divided, happen):
    name, seen, _ = divided
    happened = happen()
    for lane in (2, 0, 3, 1):
        before = len(seen)
        consumers.run(name, lane)
        assert all(recorded.aggregate_id.int % 4 == lane for recorded in seen[before:])
    assert len(seen) == happened and once_and_in_order(seen)


def test_a_lane_without_events_does_not_read_those_of_others_again(divided, happen):
    name, seen, _ = divided
    happen()
    last = Event.objects.order_by("-xid", "-position").first()
    for lane in range(4):
        consumers.run(name, lane)
    offsets = ConsumerOffset.objects.filter(consumer=name)
    assert {(offset.xid, offset.position) for offset in offsets} == {(last.xid, last.position)}


@pytest.mark.parametrize("new", [1, 3, 8])
def test_spreading_neither_skips_nor_doubles(divided, happen, new):
    name, seen, declare = divided
    happened = happen()
    consumers.run(name, 1)
    happened += happen()
    consumers.run(name, 2)
    happened += happen()
    declare(new)
    lanes.spread(name)
    assert ConsumerOffset.objects.filter(consumer=name, lanes=new).count() == new
    for lane in range(new):
        consumers.run(name, lane)
    assert len(seen) == happened and once_and_in_order(seen)


def test_outside_effects_are_repeated_rather_than_skipped(divided, happen):
    name, seen, declare = divided
    happened = happen()
    consumers.run(name, 1)
    declare(2, outside=True)
    lanes.spread(name)
    for lane in range(2):
        consumers.run(name, lane)
    counts = Counter((recorded.aggregate_id, recorded.aggregate_version) for recorded in seen)
    assert len(counts) == happened and max(counts.values()) <= 2


@pytest.mark.parametrize("now_declared", [1, 2, 8])
def test_while_old_and_new_processes_run_the_old_division_holds(divided, happen, now_declared):
    name, seen, declare = divided
    happened = happen()
    declare(now_declared)
    for lane in range(now_declared):
        consumers.run(name, lane)
    assert ConsumerOffset.objects.filter(consumer=name, lanes=4).count() == 4
    assert len(seen) == happened and once_and_in_order(seen)


def test_a_leased_lane_cannot_be_divided(divided, author):
    name, _, _ = divided
    until = now() + timedelta(seconds=10)
    ConsumerOffset.objects.filter(consumer=name, lane=2).update(lease_owner=author, lease_until=until)
    with pytest.raises(lanes.LaneBusy):
        lanes.spread(name)
