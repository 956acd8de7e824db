"""At most one message is under way for each partition and lane: no more under load, and none is missing."""

import base64
import json
import time
from contextlib import contextmanager

import psycopg
import pytest
from celery import current_app
from django.db import connection

from posts.commands import CreatePost
from socialapp.cqrs import apply, broker, consumers, log, pacing, tasks, valkey, waking
from socialapp.cqrs.consumers import Consumer
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.models import ConsumerOffset
from socialapp.cqrs.submit import submit

PARTITION = 6


@pytest.fixture
def messages(clean_stores, drain_all, monkeypatch) -> list[int]:
    """The numbers of messages that were sent for the partition and not yet received."""
    drain_all()
    sent: list[int] = []

    def send(partition, wake=None):
        assert partition == PARTITION
        sent.append(wake)

    monkeypatch.setattr(waking, "wake_partition", send)
    monkeypatch.setattr(pacing, "DRAINS", pacing.Pace(factor=0, longest=0))
    return sent


def post(author) -> None:
    submit(CreatePost("wakes"), actor_id=author, resource_id=new_id(PARTITION))


def receive(messages: list[int]) -> None:
    tasks.apply_commands(PARTITION, messages.pop(0))


def test_only_the_first_of_many_commands_sends_one(messages, author):
    for _ in range(5):
        post(author)
    assert len(messages) == 1
    receive(messages)
    assert log.backlog(PARTITION) == 0 and messages == []
    post(author)
    assert len(messages) == 1, "whoever comes after it was received sends another"


def test_a_drain_that_leaves_something_sends_one_unless_one_is_under_way(messages, author, monkeypatch):
    monkeypatch.setattr(apply, "BATCH", 2)
    monkeypatch.setattr(apply, "MOST_BATCHES", 1)
    for _ in range(5):
        post(author)
    receive(messages)
    assert log.backlog(PARTITION) == 3 and len(messages) == 1
    post(author)
    assert len(messages) == 1
    while messages:
        receive(messages)
    assert log.backlog(PARTITION) == 0


def test_an_old_message_is_not_obeyed_and_puts_none_in_its_place(messages, author):
    post(author)
    lost = messages.pop()
    assert log.set_wake(PARTITION, older_than=60) is None, "it may still come"
    newer = log.set_wake(PARTITION, older_than=0)
    assert newer > lost
    tasks.apply_commands(PARTITION, lost)
    assert log.backlog(PARTITION) == 1 and messages == []
    tasks.apply_commands(PARTITION, newer)
    assert log.backlog(PARTITION) == 0 and messages == []


def test_beat_replaces_a_message_that_was_lost(messages, author, monkeypatch):
    post(author)
    messages.clear()
    tasks.wake_partitions()
    assert messages == [], "it may still come"
    monkeypatch.setattr(waking, "LOST_AFTER", 0)
    tasks.wake_partitions()
    assert len(messages) == 1
    receive(messages)
    assert log.backlog(PARTITION) == 0


def test_a_message_is_obeyed_when_the_log_has_forgotten_its_number(messages, author):
    post(author)
    log.clear_wake(PARTITION)
    receive(messages)
    assert log.backlog(PARTITION) == 0


# ---- event consumers ----

NAME = "woken"


@pytest.fixture
def published(clean_stores, monkeypatch) -> list[tuple]:
    """Arguments of the messages for the lanes of a consumer that were published and not yet received."""
    sent: list[tuple] = []

    def publish(task, arguments, **options):
        if arguments[0] == NAME:
            sent.append(arguments)

    monkeypatch.setattr(waking, "_publish", publish)
    monkeypatch.setitem(consumers._consumers, NAME, Consumer(NAME, lambda events: None, outside=False, lanes=2))
    monkeypatch.setattr(pacing, "CONSUMERS", pacing.LanePace(factor=0, longest=0))
    yield sent
    ConsumerOffset.objects.filter(consumer=NAME).delete()


@pytest.fixture
def runs(published, monkeypatch) -> list[int]:
    """The lanes that were run, in order; each says that nothing more is waiting."""
    lanes: list[int] = []
    monkeypatch.setattr(consumers, "run", lambda name, lane: lanes.append(lane))
    return lanes


def test_events_send_one_message_per_lane_however_long_it_waits(published, runs):
    for _ in range(50):
        waking.wake_consumers()
    assert [lane for _, lane, _ in published] == [0, 1]
    tasks.run_consumer(*published.pop(0))
    assert runs == [0]
    waking.wake_consumers()
    assert [lane for _, lane, _ in published] == [1, 0], "what happens after it was received sends another"


def test_a_tick_replaces_only_a_message_that_was_lost(published, runs, monkeypatch):
    waking.wake_consumers()
    tasks.wake_consumers()
    assert len(published) == 2
    monkeypatch.setattr(waking, "LOST_AFTER", 0)
    tasks.wake_consumers()
    assert len(published) == 4
    for arguments in published:
        tasks.run_consumer(*arguments)
    assert runs == [0, 1], "the messages that were replaced are ignored when they come after all"


@pytest.mark.parametrize("outside", [False, True])
def test_a_worker_that_finds_a_lane_taken_comes_back(published, monkeypatch, outside):
    """The other worker may have read for the last time before the event that this message stands for."""
    monkeypatch.setitem(consumers._consumers, NAME, Consumer(NAME, lambda events: None, outside=outside, lanes=1))
    consumers.create_offsets(consumers.declared()[NAME])
    waking.wake_consumer(NAME, 0)
    with taken(outside):
        tasks.run_consumer(*published.pop(0))
        assert len(published) == 1
    tasks.run_consumer(*published.pop(0))
    assert published == []


@contextmanager
def taken(outside: bool):
    """Another worker has the only lane: its lease, or the lock of its row."""
    offset = ConsumerOffset.objects.get(consumer=NAME)
    if outside:
        with consumers.leased(offset.pk):
            yield
        return
    parameters = connection.get_connection_params() | {"cursor_factory": psycopg.Cursor, "context": None}
    with psycopg.connect(**parameters) as other:
        other.execute("SELECT FROM cqrs_consumeroffset WHERE id = %s FOR UPDATE", [offset.pk])
        yield


def test_a_lane_rests_and_others_run_meanwhile():
    pace = pacing.LanePace(factor=1000, longest=60)
    assert pace.run("lane 0", lambda: False) is False
    assert pace.pause_before("lane 0") > 0 and pace.pause_before("lane 1") == 0
    pace.run("lane 0", lambda: True)
    assert pace.pause_before("lane 0") == 0, "more is waiting"


def test_an_old_message_does_not_wait_for_its_lane_to_rest(published, runs, monkeypatch):
    pace = pacing.LanePace(factor=1000, longest=60)
    pace.run(waking.lane_wake(NAME, 0), lambda: False)
    monkeypatch.setattr(pacing, "CONSUMERS", pace)
    waking.wake_consumer(NAME, 0)
    (name, lane, number), *_ = published
    began = time.monotonic()
    tasks.run_consumer(name, lane, number - 1)
    assert runs == [] and time.monotonic() - began < 30


def test_a_queue_without_a_worker_keeps_only_its_newest_messages(clean_stores, monkeypatch):
    monkeypatch.setattr(broker, "_max_lengths", lambda: {"outside": 20})
    for number in range(50):
        current_app.send_task("nobody.takes.it", (number,), queue="outside", ignore_result=True)
    assert broker.length("outside") == 20
    oldest = json.loads(valkey.state().lindex("outside", -1))
    assert json.loads(base64.b64decode(oldest["body"]))[0] == [30]
