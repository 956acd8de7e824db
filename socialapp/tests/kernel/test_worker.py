"""Celery's settings, seen from outside: a real worker that is killed, goes on, and keeps its connections."""

import logging
import os
import subprocess
import sys
import time

import pytest
from django.conf import settings
from django.db import connection
from kombu import Queue

from config.celery import app
from config.settings import celery as celery_settings
from posts.commands import CreateComment, CreatePost
from socialapp.cqrs import outcomes, tasks, waking
from socialapp.cqrs.submit import submit
from socialapp.tests.topology.test_frozen_cache import frozen

PATIENCE = 30
TICK = 1.0


@pytest.fixture
def worker(clean_stores):
    """`worker(*deaths)`: a Celery worker whose processes die where `mortal` says."""
    started = []

    def start(*deaths: str, processes: int = 1) -> subprocess.Popen:
        options = ["-Q", "commands", "-c", str(processes), "--without-gossip", "--without-mingle", "-l", "WARNING"]
        command = [sys.executable, "-m", "celery", "-A", "socialapp.tests.kernel.mortal_worker", "worker", *options]
        started.append(subprocess.Popen(command, env=os.environ | {"DEATHS": "\n".join(deaths)}))
        return started[-1]

    yield start
    for process in started:
        process.terminate()
        assert process.wait(timeout=20) == 0


@pytest.fixture
def post(author, drain_all):
    accepted = submit(CreatePost("host"), actor_id=author)
    drain_all()
    return accepted.resource_id


def settled(*accepted) -> list[str]:
    """Statuses of commands, as soon as all have one; meanwhile this ticks like beat."""
    ids = [one.command_id for one in accepted]
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        tasks.wake_partitions()
        found = outcomes.wait(ids, seconds=TICK)
        if all(found[i].settled for i in ids):
            return [found[i].status for i in ids]
    raise AssertionError("not settled")


def test_a_command_that_kills_its_worker_hardly_delays_its_neighbours(worker, post, author):
    worker("before posts.handlers.comments._new_comment deadly", processes=2)
    assert settled(submit(CreateComment(str(post), "it runs"), actor_id=author)) == ["applied"]
    accepted = [submit(CreateComment(str(post), text), actor_id=author) for text in ("one", "deadly", "two")]
    began = time.monotonic()
    assert settled(*accepted) == ["applied", "failed", "applied"]
    assert time.monotonic() - began < 10


def backends() -> set[int]:
    """Processes of Postgres that serve this database's workers, without the one that is asked."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'socialapp-worker' AND pid <> pg_backend_pid()
            """
        )
        return {pid for (pid,) in cursor.fetchall()}


def test_a_worker_keeps_its_connection_from_task_to_task(worker, post, author):
    others = backends()
    worker()
    found = []
    for number in range(3):
        settled(submit(CreateComment(str(post), f"comment {number}"), actor_id=author))
        found.append(backends() - others)
    assert found[0] == found[1] == found[2] and len(found[0]) == 1


def test_a_worker_whose_connection_was_cut_makes_a_new_one(worker, post, author):
    others = backends()
    worker()
    settled(submit(CreateComment(str(post), "before"), actor_id=author))
    (cut,) = backends() - others
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [cut])
    assert settled(submit(CreateComment(str(post), "after"), actor_id=author)) == ["applied"]
    assert len(backends() - others - {cut}) == 1


def test_a_publish_to_a_frozen_broker_fails_soon(servers, clean_stores):
    waking.wake_partition(3)
    with frozen(servers.pid("valkey-state")):
        began = time.monotonic()
        waking.wake_partition(3)
        assert time.monotonic() - began < 2


def test_a_message_that_could_not_be_acknowledged_takes_no_place(servers, clean_stores):
    received = []
    with app.connection_for_read() as broker:
        queue = Queue("places", routing_key="places")
        take = {"callbacks": [lambda body, message: received.append(message)], "prefetch_count": 1}
        producer = broker.Producer()
        for number in range(2):
            producer.publish(number, routing_key="places", exchange=queue.exchange, declare=[queue], retry=False)
        with broker.Consumer([queue], accept=["json"], **take):
            broker.drain_events(timeout=5)
            with pytest.raises(TimeoutError):
                broker.drain_events(timeout=0.5)
            with frozen(servers.pid("valkey-state")):
                received[0].ack_log_error(logging.getLogger(__name__), broker.connection_errors)
            broker.drain_events(timeout=5)
    assert [message.payload for message in received] == [0, 1]


def test_every_setting_of_celery_is_in_force():
    declared = {name: value for name, value in vars(celery_settings).items() if name.startswith("CELERY_")}
    assert {name: getattr(settings, name, None) for name in declared} == declared
