"""The event reader misses nothing and doubles nothing, while fast transactions overtake slow ones in eight threads."""

import random
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection

from socialapp.cqrs import consumers
from socialapp.cqrs.consumers import Consumer
from socialapp.cqrs.models import ConsumerOffset, Event

FAST, SLOW = 5, 3
TRANSACTIONS = 300
# Seconds after which a writer gives up, because another one has failed.
PATIENCE = 30
INSERT = """
    INSERT INTO cqrs_event (type, version, aggregate, aggregate_id, aggregate_version, payload, time, command_id)
    VALUES ('PostsCounted', 1, 'user', %s, %s, '{"username": "writer", "post_count": 1}', now(), %s)
"""


class Writers:
    """Fast ones commit one event at a time, or roll it back. A slow one writes an event, stays in its transaction
    while some of the others commit, writes another one, and only then commits."""

    def __init__(self):
        self.aggregates = [uuid4() for _ in range(FAST + SLOW)]
        self.written: list[tuple[UUID, int]] = []
        self.commits = threading.Semaphore(0)
        self.fast_are_done = threading.Barrier(FAST, action=self._let_go)
        self.over = False

    def run(self, number: int) -> None:
        params = connection.get_connection_params() | {"cursor_factory": psycopg.Cursor, "context": None}
        write = self._fast if number < FAST else self._slow
        with psycopg.connect(**params, autocommit=True) as server:
            write(server, self.aggregates[number], random.Random(number))

    def _fast(self, server, aggregate, luck) -> None:
        for version in range(1, TRANSACTIONS + 1):
            if luck.random() < 0.1:
                with server.transaction(force_rollback=True):
                    self._insert(server, aggregate, version)
            with server.transaction():
                self._insert(server, aggregate, version)
            self.written.append((aggregate, version))
            self.commits.release()
        self.fast_are_done.wait(PATIENCE)

    def _slow(self, server, aggregate, luck) -> None:
        version = 1
        while not self.over:
            with server.transaction():
                self._insert(server, aggregate, version)
                for _ in range(luck.randint(1, 20)):
                    self.commits.acquire(timeout=PATIENCE)
                self._insert(server, aggregate, version + 1)
            self.written += [(aggregate, version), (aggregate, version + 1)]
            version += 2

    def _insert(self, server, aggregate, version) -> None:
        server.execute(INSERT, [aggregate, version, uuid4()])

    def _let_go(self) -> None:
        self.over = True
        self.commits.release(1000)


class NaiveReader:
    """Reads by position only, as one would without thinking of transactions."""

    def __init__(self, position: int):
        self.position, self.seen = position, 0

    def read(self) -> None:
        positions = list(Event.objects.filter(position__gt=self.position).values_list("position", flat=True))
        self.position, self.seen = max(positions, default=self.position), self.seen + len(positions)


@pytest.fixture(params=[1, 4], ids=["one lane", "four lanes"])
def reader(request, author):
    """(name, lanes, events seen, a naive reader), all beginning after what has happened so far."""
    name, seen, lanes = f"reader-{secrets.token_hex(4)}", [], request.param
    consumers._consumers[name] = Consumer(name, seen.extend, outside=False, lanes=lanes)
    last = Event.objects.order_by("-xid", "-position").first()
    for lane in range(lanes):
        ConsumerOffset.objects.create(consumer=name, lane=lane, lanes=lanes, xid=last.xid, position=last.position)
    yield name, lanes, seen, NaiveReader(Event.objects.latest("position").position)
    consumers._consumers.pop(name)
    ConsumerOffset.objects.filter(consumer=name).delete()


def test_slow_and_fast_transactions_interleave(reader):
    name, lanes, seen, naive = reader
    writers = Writers()

    def read():
        for lane in range(lanes):
            consumers.run(name, lane)
        naive.read()

    with ThreadPoolExecutor(FAST + SLOW) as pool:
        running = [pool.submit(writers.run, number) for number in range(FAST + SLOW)]
        while not all(writer.done() for writer in running):
            read()
    [writer.result() for writer in running]
    read()

    found = [(recorded.aggregate_id, recorded.aggregate_version) for recorded in seen]
    assert len(found) == len(set(found)) == len(writers.written)
    assert set(found) == set(writers.written)
    for aggregate in writers.aggregates:
        versions = [version for identifier, version in found if identifier == aggregate]
        assert versions == sorted(versions)
    assert naive.seen < len(writers.written), "else this test has not let a fast transaction overtake a slow one"
