"""Consumers that publish from now on, and something to publish."""

import secrets
from uuid import UUID

import pytest

from posts.commands import CreatePost, LikePost, UnlikePost
from socialapp.cqrs import consumers, events
from socialapp.cqrs.consumers import Consumer
from socialapp.cqrs.models import ConsumerOffset, Event, ParkedEvent
from socialapp.cqrs.submit import submit
from socialapp.publishing.consumers import LANES
from socialapp.tests.valkeys import wait_until


def everything_is_below_the_horizon() -> bool:
    """A transaction of whatever else uses the same server holds events back for as long as it takes."""
    return not Event.objects.filter(xid__gte=events.horizon()).exists()


@pytest.fixture
def subscribed(author):
    """subscribed(publish) declares a consumer that starts now; returns a function that runs its lanes."""
    names = []

    def declare(publish):
        name = f"published-{secrets.token_hex(4)}"
        names.append(name)
        consumers._consumers[name] = Consumer(name, publish, outside=True, lanes=LANES)
        last = Event.objects.order_by("-xid", "-position").first()
        xid, position = (last.xid, last.position) if last else (0, 0)
        for lane in range(LANES):
            ConsumerOffset.objects.create(consumer=name, lane=lane, lanes=LANES, xid=xid, position=position)

        def run(lanes=range(LANES)) -> str:
            wait_until(everything_is_below_the_horizon)
            for lane in lanes:
                consumers.run(name, lane)
            return name

        return run

    yield declare
    for name in names:
        consumers._consumers.pop(name)
        ConsumerOffset.objects.filter(consumer=name).delete()
        ParkedEvent.objects.filter(consumer=name).delete()


@pytest.fixture
def happen(author, drain_all):
    """happen() lets ten posts be made, liked and unliked; returns their ids."""

    def some_posts() -> list[UUID]:
        posts = [submit(CreatePost(f"n{n}"), actor_id=author).resource_id for n in range(10)]
        for post in posts:
            submit(LikePost(), actor_id=author, resource_id=post)
        drain_all()
        for post in posts:
            submit(UnlikePost(), actor_id=author, resource_id=post)
        drain_all()
        return posts

    return some_posts
