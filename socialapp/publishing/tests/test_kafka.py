"""Events in Kafka (librdkafka's mock cluster): keyed, in order, at least once; one that is away is nobody's fault."""

import json
import secrets
from collections import defaultdict

import pytest

from posts.commands import CreatePost
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.failures import OutsideUnreachable
from socialapp.cqrs.models import ConsumerOffset, ParkedEvent
from socialapp.cqrs.submit import submit
from socialapp.publishing import kafka
from socialapp.publishing.tests.brokers import mock_brokers


@pytest.fixture(scope="module")
def brokers():
    with mock_brokers() as found:
        yield found


@pytest.fixture(autouse=True)
def configured(brokers, settings, monkeypatch):
    settings.EVENTS_KAFKA_SERVERS = brokers.servers
    settings.EVENTS_KAFKA_TOPIC = f"events-{secrets.token_hex(4)}"
    monkeypatch.setattr(kafka, "DELIVERY", 1.0)
    monkeypatch.setattr(kafka, "_breaker", Breaker(open_for=(0, 0), probe=0))
    kafka._forget_producer()
    yield
    kafka._forget_producer()


def test_each_aggregates_events_are_in_order_in_one_partition(subscribed, happen, brokers, settings):
    run = subscribed(kafka.publish)
    posts = {str(post) for post in happen()}
    run()
    told, partitions = defaultdict(list), defaultdict(set)
    for message in brokers.read(settings.EVENTS_KAFKA_TOPIC, 30):
        event = json.loads(message.value())
        subject = message.key().decode()
        assert subject == event["subject"] == event["partitionkey"]
        headers = dict(message.headers())
        assert headers["ce_id"].decode() == event["id"]
        assert headers["content-type"].startswith(b"application/cloudevents+json")
        if subject in posts:
            told[subject].append((int(event["sequence"]), headers["ce_type"].decode()))
            partitions[subject].add(message.partition())
    assert told == dict.fromkeys(posts, [(1, "PostCreated"), (2, "PostLiked"), (3, "PostUnliked")])
    assert all(len(found) == 1 for found in partitions.values())
    assert len(set.union(*partitions.values())) > 1


def test_a_frozen_kafka_parks_nothing_and_is_caught_up_with(subscribed, happen, brokers, settings):
    run = subscribed(kafka.publish)
    posts = {str(post) for post in happen()}
    with brokers.frozen(), pytest.raises(OutsideUnreachable):
        run()
    name = run()
    subjects = {message.key().decode() for message in brokers.read(settings.EVENTS_KAFKA_TOPIC, 30)}
    assert posts <= subjects
    assert not ParkedEvent.objects.filter(consumer=name).exists()


def test_a_kafka_that_is_not_there_costs_a_second_and_then_nothing_for_a_while(
    subscribed, happen, settings, monkeypatch
):
    settings.EVENTS_KAFKA_SERVERS = "127.0.0.1:1"
    monkeypatch.setattr(kafka, "_breaker", Breaker(open_for=(60, 60), probe=60))
    run = subscribed(kafka.publish)
    happen()
    with pytest.raises(OutsideUnreachable, match="Kafka:"):
        run()
    with pytest.raises(OutsideUnreachable, match="a moment ago"):
        run()


def test_an_event_that_kafka_refuses_is_parked_alone(subscribed, author, drain_all, brokers, settings):
    settings.EVENTS_KAFKA_OPTIONS = {"message.max.bytes": 1500, "compression.type": "none"}
    run = subscribed(kafka.publish)
    good = [submit(CreatePost("short"), actor_id=author).resource_id for _ in range(3)]
    bad = submit(CreatePost("long" * 500), actor_id=author).resource_id
    good += [submit(CreatePost("short"), actor_id=author).resource_id for _ in range(3)]
    drain_all()
    name = run()
    assert ParkedEvent.objects.filter(consumer=name).count() == 1
    subjects = {message.key().decode() for message in brokers.read(settings.EVENTS_KAFKA_TOPIC, len(good))}
    assert {str(post) for post in good} <= subjects and str(bad) not in subjects
    assert ConsumerOffset.objects.filter(consumer=name, lease_owner__isnull=False).count() == 0
