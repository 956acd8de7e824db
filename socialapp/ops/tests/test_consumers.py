"""The command consumers: a table of how far each has come, retries, and lanes."""

import secrets
from datetime import timedelta

import pytest
from django.core.management.base import CommandError
from django.utils.timezone import now

from posts.commands import CreatePost
from socialapp.cqrs import consumers, progress
from socialapp.cqrs.consumers import Consumer
from socialapp.cqrs.models import ConsumerOffset, Event, ParkedEvent
from socialapp.cqrs.submit import submit
from socialapp.ops.management.commands import consumers as command


@pytest.fixture
def reader(author):
    """(name, texts that it cannot digest, texts that it has seen) of a consumer that starts now."""
    name, indigestible, seen = f"reader-{secrets.token_hex(4)}", {"bad"}, []

    def consume(events):
        if any(recorded.event.text in indigestible for recorded in events):
            raise ValueError("cannot digest")
        seen.extend(recorded.event.text for recorded in events)

    consumers._consumers[name] = Consumer(name, consume, outside=False)
    last = Event.objects.order_by("-xid", "-position").first()
    ConsumerOffset.objects.create(consumer=name, xid=last.xid, position=last.position)
    yield name, indigestible, seen
    consumers._consumers.pop(name)
    ParkedEvent.objects.filter(consumer=name).delete()


def line_of(name: str) -> list[str]:
    return next(command.line(row).split() for row in progress.all_consumers() if row.offset.consumer == name)


def test_the_table_tells_the_lag(reader, author, drain_all):
    name, _, _ = reader
    for text in ("one", "two"):
        submit(CreatePost(text), actor_id=author)
    drain_all()
    assert (line_of(name)[3], line_of(name)[-1]) == ("2", "reads")
    ConsumerOffset.objects.filter(consumer=name).update(updated_at=now() - timedelta(minutes=1))
    assert " ".join(line_of(name)).endswith("stands still")
    consumers.run(name)
    assert line_of(name)[3:] == ["0", "0.0", "s", "0", "level"]


def test_a_consumer_of_former_code_is_named(author):
    gone = ConsumerOffset.objects.create(consumer="of-former-code", xid=1, position=1)
    try:
        assert " ".join(line_of("of-former-code")).endswith("not declared any more")
    finally:
        gone.delete()


def test_trouble_is_an_exit_code(run, reader):
    name, _, _ = reader
    ParkedEvent.objects.create(consumer=name, event_position=1, error="x")
    with pytest.raises(CommandError, match=name):
        run("consumers")


def test_what_was_parked_is_tried_again_by_the_consumer(run, reader, author, drain_all):
    name, indigestible, seen = reader
    for text in ("good", "bad"):
        submit(CreatePost(text), actor_id=author)
    drain_all()
    consumers.run(name)
    assert seen == ["good"] and line_of(name)[6] == "1"
    parked = ParkedEvent.objects.get(consumer=name)
    run("consumers", "retry", name, f"--event={parked.event_position}")
    consumers.run(name)
    parked.refresh_from_db()
    assert parked.retry_at is None and seen == ["good"], "it is still indigestible, and waits for the next request"
    indigestible.clear()
    consumers.run(name)
    assert seen == ["good"], "nobody has asked for it"
    run("consumers", "retry", name)
    consumers.run(name)
    assert seen == ["good", "bad"]
    assert not ParkedEvent.objects.filter(consumer=name).exists()


@pytest.mark.parametrize("arguments", [["no-such-consumer"], ["cache", "--event=1"]])
def test_nothing_to_retry(run, arguments):
    with pytest.raises(CommandError, match="no consumer|no such event"):
        run("consumers", "retry", *arguments)
