"""Events in a Valkey stream: in the order of each aggregate, at least once, with ids that tell doubles, and bounded."""

import json
from collections import defaultdict

import pytest
from django_redis import get_redis_connection

from config.settings import caches
from deploy.embedded import binaries
from socialapp.accounts.commands import SetAccess
from socialapp.cqrs import consumers, valkey
from socialapp.cqrs.execute import execute
from socialapp.cqrs.models import ParkedEvent
from socialapp.publishing import streams
from socialapp.publishing.consumers import LANES
from socialapp.tests.valkeys import ValkeyLog, valkey_log

GROUP = "analytics"


@pytest.fixture(scope="module")
def server(servers, tmp_path_factory) -> ValkeyLog:
    """A Valkey of the other teams."""
    with valkey_log(binaries.valkey(), tmp_path_factory.mktemp("stream")) as server:
        yield server


@pytest.fixture(autouse=True)
def stream(server, settings):
    """A client of it, at which a group of subscribers is waiting."""
    settings.CACHES = settings.CACHES | {"event_stream": caches.valkey(server.url, timeout=0.5)}
    client = server.client()
    client.flushdb()
    client.xgroup_create(settings.EVENTS_STREAM, GROUP, id="0", mkstream=True)
    return client


@pytest.fixture
def received(stream, settings):
    """received() is what the group has not read yet, as documents."""

    def read() -> list[dict]:
        answer = stream.xreadgroup(GROUP, "one", {settings.EVENTS_STREAM: ">"}, count=10_000)
        rows = answer.values() if isinstance(answer, dict) else [rows for _, rows in answer]
        entries = [entry for chunks in rows for entry in (chunks[0] if isinstance(answer, dict) else chunks)]
        return [json.loads(fields[b"event"]) | {"_type": fields[b"type"].decode()} for _, fields in entries]

    return read


def test_each_aggregates_events_come_in_order(subscribed, happen, received):
    run = subscribed(streams.publish)
    posts = {str(post) for post in happen()}
    run()
    sequences = defaultdict(list)
    for event in received():
        if event["subject"] in posts:
            sequences[event["subject"]].append((int(event["sequence"]), event["_type"]))
    told = [(1, "PostCreated"), (2, "PostLiked"), (3, "PostUnliked")]
    assert sequences == dict.fromkeys(posts, told)


def test_an_event_that_is_not_published_does_not_leave(subscribed, happen, received, author):
    run = subscribed(streams.publish)
    execute(SetAccess(is_active=True, is_staff=True), actor_id=None, resource_id=author)
    happen()
    run()
    assert "AccessSet" not in {event["_type"] for event in received()}


def test_while_the_server_is_down_nothing_is_parked_or_skipped(subscribed, happen, received, server, stream, settings):
    run = subscribed(streams.publish)
    with server.frozen():
        posts = happen()
        with pytest.raises(valkey.UNREACHABLE):
            run()
    name = run()
    subjects = [event["subject"] for event in received()]
    assert {str(post) for post in posts} <= set(subjects)
    assert not ParkedEvent.objects.filter(consumer=name).exists()


def test_what_was_published_before_a_crash_comes_again_under_the_same_id(subscribed, happen, received, monkeypatch):
    run = subscribed(streams.publish)
    posts = {str(post) for post in happen()}

    class Killed(BaseException):
        pass

    def dies(*arguments):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(consumers, "_move", dies)
        for lane in range(LANES):
            with pytest.raises(Killed):
                run([lane])
    run()
    ids = [event["id"] for event in received() if event["subject"] in posts]
    assert (len(ids), len(set(ids))) == (60, 30)


def test_the_stream_is_bounded(subscribed, happen, stream, settings):
    settings.EVENTS_STREAM_LENGTH = 10
    run = subscribed(streams.publish)
    for _ in range(5):
        happen()
    run()
    # Whole nodes of 100 entries are dropped.
    assert stream.xlen(settings.EVENTS_STREAM) <= 10 + 100


def test_what_is_not_on_disk_is_not_published(subscribed, happen, received, stream, monkeypatch):
    monkeypatch.setattr(streams, "FSYNC", 50)
    run = subscribed(streams.publish)
    posts = {str(post) for post in happen()}
    # The server takes the entries, and leaves it to the kernel when they are on disk.
    stream.config_set("appendfsync", "no")
    with pytest.raises(streams.NotOnDisk):
        run()
    stream.config_set("appendfsync", "everysec")
    monkeypatch.setattr(streams, "FSYNC", 2_000)
    name = run()
    stream.config_set("appendfsync", "always")
    assert posts <= {event["subject"] for event in received()}
    assert not ParkedEvent.objects.filter(consumer=name).exists()


def test_a_server_without_a_disk_is_only_taken_when_that_is_said(subscribed, happen, server, stream, settings):
    run = subscribed(streams.publish)
    happen()
    stream.config_set("appendonly", "no")
    with pytest.raises(valkey.UNREACHABLE, match="appendonly"):
        run()
    settings.EVENTS_STREAM_FSYNC = False
    name = run()
    stream.config_set("appendonly", "yes")
    assert not ParkedEvent.objects.filter(consumer=name).exists()


def test_the_client_has_timeouts():
    options = get_redis_connection("event_stream").connection_pool.connection_kwargs
    assert options["socket_timeout"] and options["socket_connect_timeout"]
