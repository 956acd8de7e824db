"""Ids: sorted by the servers' time, unique, and in the order in which a process makes them."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import RFC_4122, UUID

import pytest

from socialapp.cqrs import ids, server_time
from socialapp.cqrs.ids import MOST_BACK, id_at, new_id, partition_of

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def first_id(monkeypatch):
    """No id was made before, and no server has said what time it is."""
    monkeypatch.setattr(ids, "_last", 0)
    monkeypatch.setattr(server_time, "_by_primary", None)
    monkeypatch.setattr(server_time, "_by_another", None)


def seconds_of(identifier: UUID) -> float:
    """Since the epoch (RFC 9562, 5.7)."""
    return (identifier.int >> 80) / 1000


def test_an_id_is_a_version_7_uuid_in_its_partition():
    for partition in range(ids.PARTITIONS):
        made = new_id(partition)
        assert (made.version, made.variant, partition_of(made)) == (7, RFC_4122, partition)
    assert {partition_of(new_id()) for _ in range(1000)} == set(range(16))


@pytest.mark.parametrize("note", [server_time.note_primary, server_time.note_another])
def test_its_time_is_the_servers(note):
    note(NOON)
    assert seconds_of(new_id()) == pytest.approx(NOON.timestamp(), abs=1)
    assert seconds_of(id_at(NOON, 3)) == pytest.approx(NOON.timestamp(), abs=0.001)


def test_the_primarys_clock_comes_before_the_logs():
    server_time.note_primary(NOON)
    server_time.note_another(NOON + timedelta(days=2))
    assert seconds_of(new_id()) == pytest.approx(NOON.timestamp(), abs=1)


def test_a_primary_that_is_not_asked_any_more_is_not_believed_for_ever(monkeypatch):
    """Its clock was two days ahead when a reader asked it, and only replicas were asked since."""
    server_time.note_primary(NOON + timedelta(days=2))
    monkeypatch.setattr(server_time, "KEPT", 0)
    assert seconds_of(new_id()) > NOON.timestamp() + 86400, "there is nobody else"
    server_time.note_another(NOON)
    assert seconds_of(new_id()) == pytest.approx(NOON.timestamp(), abs=1)


def test_a_processs_ids_rise_while_the_time_stands_still(monkeypatch):
    monkeypatch.setattr(server_time, "nanoseconds", lambda: 10**18)
    made = [new_id(partition % 16) for partition in range(20_000)]
    assert made == sorted(made) and len(set(made)) == len(made)


def test_they_rise_while_the_time_goes_back_a_little():
    server_time.note_primary(NOON)
    before = new_id()
    server_time.note_primary(NOON - timedelta(milliseconds=MOST_BACK / 2))
    assert new_id() > before


def test_they_follow_a_clock_that_was_set():
    """Otherwise a process that began with a wrong clock of its own would date everything into the future for days."""
    server_time.note_primary(NOON + timedelta(days=2))
    new_id()
    server_time.note_primary(NOON)
    assert seconds_of(new_id()) == pytest.approx(NOON.timestamp(), abs=1)


def test_threads_make_different_ids():
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: [new_id(5) for _ in range(2_000)], range(8)))
    assert all(mine == sorted(mine) for mine in made)
    assert len({one for mine in made for one in mine}) == 16_000
