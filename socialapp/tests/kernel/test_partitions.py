"""Monthly partitions of the event table: made and dropped beside writers, read in order without sorting."""

import threading
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils.timezone import now

from posts.commands import CreatePost
from socialapp.cqrs import consumers, events, partitions, servers
from socialapp.cqrs.failures import is_infrastructure
from socialapp.cqrs.models import Event, ParkedEvent
from socialapp.cqrs.partitions import Partition, month
from socialapp.cqrs.submit import submit

INSERT = """
    INSERT INTO cqrs_event (type, version, aggregate, aggregate_id, aggregate_version, payload, time, command_id,
                            recorded_at)
    VALUES ('PostsCounted', 1, 'user', %s, 1, '{"username": "writer", "post_count": 1}', now(), %s, %s)
"""


@pytest.fixture
def far_month(author):
    """A partition of a month that nobody writes to; gone after the test."""
    for partition in partitions.missing():
        partitions.create(partition)
    start = partitions.existing()[-1].end
    far = Partition(f"cqrs_event_{start:%Y_%m}", start, month(start, 1))
    partitions.create(far)
    yield far
    for left in partitions.existing():
        if left.name == far.name:
            partitions.drop(left)


@contextmanager
def server():
    params = connection.get_connection_params() | {"cursor_factory": psycopg.Cursor, "context": None}
    with psycopg.connect(**params, autocommit=True) as other:
        yield other


def names() -> list[str]:
    return [partition.name for partition in partitions.existing()]


def test_the_next_months_are_made_and_made_once(author):
    for partition in partitions.missing():
        partitions.create(partition)
    assert partitions.existing()[-1].end >= month(now(), 4)
    assert partitions.missing() == []
    found = partitions.existing()
    assert all(later.start == earlier.end for earlier, later in zip(found, found[1:], strict=False)), "no gaps"


def test_events_go_to_the_month_in_which_they_are_recorded(far_month):
    aggregate = uuid4()
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [aggregate, uuid4(), far_month.start])
        cursor.execute(f"SELECT count(*) FROM {far_month.name} WHERE aggregate_id = %s", [aggregate])
        assert cursor.fetchone() == (1,)
        with pytest.raises(IntegrityError, match="_version"):
            cursor.execute(INSERT, [aggregate, uuid4(), far_month.start])


def test_a_month_without_a_partition_is_nobodys_fault(author):
    """Else every command would be buried, instead of waiting in the log until the partition is made."""
    with connection.cursor() as cursor:
        with pytest.raises(IntegrityError, match="no partition") as caught:
            cursor.execute(INSERT, [uuid4(), uuid4(), month(now(), 100)])
        assert is_infrastructure(caught.value)
        with pytest.raises(IntegrityError, match="check constraint") as caught:
            cursor.execute("INSERT INTO cqrs_consumeroffset (consumer, lane, xid, position) VALUES ('x', -1, '0', 0)")
        assert not is_infrastructure(caught.value)


def test_positions_go_on(author, drain_all):
    before = Event.objects.latest("position").position
    submit(CreatePost("next"), actor_id=author)
    drain_all()
    assert Event.objects.latest("position").position > before


class Writer(threading.Thread):
    """Writes an event after the other and waits for no lock longer than 200 ms."""

    def __init__(self):
        super().__init__()
        self.written, self.error, self.over = 0, None, threading.Event()
        self.has_written = threading.Condition()

    def run(self):
        with server() as mine:
            mine.execute("SET lock_timeout = '200ms'")
            while not self.over.is_set() and not self.error:
                try:
                    mine.execute(INSERT, [uuid4(), uuid4(), now()])
                except psycopg.Error as error:
                    self.error = error
                with self.has_written:
                    self.written += 1
                    self.has_written.notify()

    def writes_on(self) -> None:
        """Wait until it has written another hundred."""
        with self.has_written:
            enough = self.written + 100
            assert self.has_written.wait_for(lambda: self.error or self.written >= enough, timeout=20)
        assert self.error is None


@pytest.fixture
def writer(author):
    thread = Writer()
    thread.start()
    yield thread
    thread.over.set()
    thread.join()


def test_writers_do_not_wait_while_partitions_come_and_go(far_month, writer):
    with server() as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM cqrs_event")
        next_month = Partition(f"cqrs_event_{far_month.end:%Y_%m}", far_month.end, month(far_month.end, 1))
        partitions.create(next_month)
        assert next_month.name in names(), "a reader's open transaction does not hinder it"
        dropping = threading.Thread(target=drop_elsewhere, args=[next_month])
        dropping.start()
        writer.writes_on()
        assert dropping.is_alive(), "it waits for the reader, who may still look into the partition"
        writer.writes_on()
        reader.execute("COMMIT")
        dropping.join(20)
    writer.writes_on()
    assert next_month.name not in names()


def drop_elsewhere(partition: Partition) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 0")
    partitions.drop(partition)
    connection.close()


def test_a_drop_that_was_cut_off_is_finished_the_next_time(far_month):
    with server() as reader, connection.cursor() as cursor:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM cqrs_event")
        cursor.execute("SET lock_timeout = '300ms'")
        try:
            with pytest.raises(OperationalError):
                partitions.drop(far_month)
        finally:
            cursor.execute("SET lock_timeout = '2s'")
        reader.execute("COMMIT")
    (left,) = [partition for partition in partitions.existing() if partition.detaching]
    assert left in partitions.expired(months=1000) and partitions.still_needed(left) == ""
    partitions.drop(left)
    assert far_month.name not in names()


def test_what_is_still_needed_is_told(far_month, drain_all):
    assert partitions.still_needed(far_month) == "", "it is empty"
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [uuid4(), uuid4(), far_month.start])
    assert "cache" in partitions.still_needed(far_month)
    for name, lane in consumers.all_lanes():
        while consumers.run(name, lane):
            pass
    assert partitions.still_needed(far_month) == ""
    last = events.read("recorded_at >= %s", [far_month.start])[-1]
    parked = ParkedEvent.objects.create(consumer="cache", event_position=last.position, error="x")
    assert partitions.still_needed(far_month) == "1 of its events are parked"
    parked.delete()


def test_nothing_expires_unless_a_retention_is_set(author, monkeypatch):
    monkeypatch.setattr(servers, "primary_time", lambda: month(now(), 30))
    assert partitions.expired(months=0) == []
    assert partitions.existing()[0] in partitions.expired(months=12)
    assert partitions.existing()[0] not in partitions.expired(months=36)


@pytest.fixture
def full_partitions(far_month):
    """A cursor in a transaction that sees 20,000 events in each of three months, by transactions from 1,000,001 on."""
    with transaction.atomic(), connection.cursor() as cursor:
        for partition in partitions.existing()[-3:]:
            cursor.execute(
                """
                INSERT INTO cqrs_event (xid, type, version, aggregate, aggregate_id, aggregate_version, payload, time,
                                        command_id, recorded_at)
                SELECT (1000000 + n)::text::xid8, 'PostsCounted', 1, 'user', gen_random_uuid(), 1, '{}', now(),
                       gen_random_uuid(), %s FROM generate_series(1, 20000) AS n
                """,
                [partition.start],
            )
        cursor.execute("ANALYZE cqrs_event")
        yield cursor
        transaction.set_rollback(True)


def test_the_reader_looks_only_at_what_it_returns(full_partitions):
    """However many events are behind it or before it: an index scan of each partition, merged until it has enough."""
    for read_up_to, rows in ((1_000_000, 500), (1_010_000, 500), (1_019_900, 300)):
        full_partitions.execute(
            f"""
            EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT {events.COLUMNS} FROM cqrs_event
            WHERE {consumers.UNREAD} ORDER BY {events.IN_ORDER} LIMIT 500
            """,
            ["9000000", str(read_up_to), 2**62],
        )
        plan = full_partitions.fetchone()[0][0]["Plan"]
        nodes = [node for node in walk(plan) if node["Actual Rows"]]
        assert plan["Actual Rows"] == rows
        assert {node["Node Type"] for node in nodes} <= {"Limit", "Merge Append", "Append", "Sort", "Index Scan"}
        assert max(node["Actual Rows"] for node in nodes) <= 500
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 100


def walk(node):
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)
