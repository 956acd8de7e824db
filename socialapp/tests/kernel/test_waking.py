"""At most one message is under way for a partition; under load they must not become more, nor may one be missing."""

import pytest

from posts.commands import CreatePost
from socialapp.cqrs import apply, log, pacing, tasks, waking
from socialapp.cqrs.ids import new_id
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
    monkeypatch.setattr(tasks, "LOST_AFTER", 0)
    tasks.wake_partitions()
    assert len(messages) == 1
    receive(messages)
    assert log.backlog(PARTITION) == 0


def test_a_message_is_obeyed_when_the_log_has_forgotten_its_number(messages, author):
    post(author)
    log.clear_wake(PARTITION)
    receive(messages)
    assert log.backlog(PARTITION) == 0
