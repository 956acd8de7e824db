"""Celery on RabbitMQ, by BROKER_URL alone: real workers apply and consume, and outlive a broker that is killed.

Needs Debian's package rabbitmq-server.
"""

import os
import signal
import subprocess
import sys
import time

import pytest
from celery import current_app
from psutil import Process

from config.settings.celery import transport_options
from posts.commands import CreateComment, CreatePost
from socialapp.accounts.models import User
from socialapp.cqrs import outcomes, tasks, waking
from socialapp.cqrs.submit import submit
from socialapp.tests.rabbits import SERVER, Rabbit, rabbitmq
from socialapp.tests.valkeys import wait_until

pytestmark = pytest.mark.skipif(
    not SERVER.exists(), reason="no RabbitMQ is installed (Debian: apt-get install rabbitmq-server)"
)


@pytest.fixture(scope="module")
def rabbit(servers, tmp_path_factory) -> Rabbit:
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as started:
        yield started


@pytest.fixture
def publishes(rabbit):
    """This process wakes workers through RabbitMQ."""
    before = current_app.conf.broker_url, current_app.conf.broker_transport_options
    use_broker(rabbit.url, transport_options(rabbit.url))
    yield
    use_broker(*before)


def use_broker(url: str, options: dict) -> None:
    current_app.conf.broker_url = current_app.conf.broker_write_url = current_app.conf.broker_read_url = url
    current_app.conf.broker_transport_options = options
    current_app.set_current()
    current_app.close()
    current_app.amqp._producer_pool = None


@pytest.fixture
def worker(rabbit, publishes, clean_stores):
    """A worker for both queues, as the stack starts it, that is ready."""
    options = ["-Q", "commands,events", "-c", "2", "--without-gossip", "--without-mingle", "-l", "WARNING"]
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", *options]
    process = subprocess.Popen(command, env=os.environ | {"BROKER_URL": rabbit.url})
    wait_until(lambda: current_app.control.inspect(timeout=0.5).ping())
    yield process
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0


def settled(accepted, *, ticks: bool = False) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if ticks:
            tasks.wake_partitions()
        outcome = outcomes.wait([accepted.command_id], seconds=1)[accepted.command_id]
        if outcome.settled:
            return outcome.status
    raise AssertionError("not settled")


def test_commands_are_applied_and_events_consumed_without_a_tick(worker, author):
    accepted = submit(CreatePost("over RabbitMQ"), actor_id=author)
    assert settled(accepted) == "applied"
    wait_until(lambda: User.objects.get(pk=author).post_count == 1)


def test_the_death_of_a_process_loses_no_command(worker, author):
    post = submit(CreatePost("host"), actor_id=author).resource_id
    for child in Process(worker.pid).children():
        child.kill()
    accepted = submit(CreateComment(str(post), "after the death"), actor_id=author)
    assert settled(accepted, ticks=True) == "applied"


def test_a_killed_broker_costs_no_write_and_is_used_again(worker, author, rabbit):
    assert settled(submit(CreatePost("before"), actor_id=author)) == "applied"
    rabbit.kill()
    try:
        accepted = submit(CreatePost("meanwhile"), actor_id=author)
    finally:
        rabbit.start()
    assert settled(accepted, ticks=True) == "applied"
    assert settled(submit(CreatePost("after"), actor_id=author)) == "applied", "woken again, without a tick"


def test_a_frozen_broker_does_not_hold_a_write_up(publishes, author, rabbit):
    waking.wake_partition(3)
    with rabbit.frozen():
        began = time.monotonic()
        submit(CreatePost("soon"), actor_id=author)
        current_app.amqp._producer_pool = None
        waking.wake_partition(3)
        assert time.monotonic() - began < 5
