"""The command event_partitions: shows, makes and drops, and asks before it drops."""

import io
import sys

import pytest
from django.core.management.base import CommandError
from django.utils.timezone import now

from socialapp.cqrs import partitions, servers, tasks
from socialapp.cqrs.partitions import Partition, month


@pytest.fixture
def due(clean_stores, monkeypatch) -> Partition:
    """An empty partition, which is the only one past its retention."""
    for partition in partitions.missing():
        partitions.create(partition)
    start = partitions.existing()[-1].end
    partition = Partition(f"cqrs_event_{start:%Y_%m}", start, month(start, 1))
    partitions.create(partition)
    expired = partitions.expired
    found = lambda months: [p for p in expired(months=months) if p.name == partition.name]  # noqa: E731
    monkeypatch.setattr(partitions, "expired", lambda *, months: found(months))
    monkeypatch.setattr(servers, "primary_time", lambda: month(now(), 60))
    monkeypatch.setattr(partitions, "missing", lambda **_: [])
    yield partition
    if is_there(partition):
        partitions.drop(partition)


def is_there(partition) -> bool:
    return partition.name in [found.name for found in partitions.existing()]


def test_it_shows_and_makes_the_next_months(run, clean_stores):
    said = run("event_partitions")
    assert "cqrs_event_first" in said
    assert partitions.missing() == []
    assert "Made" not in run("event_partitions")


def test_a_dry_run_makes_nothing(run, clean_stores):
    ahead = len(partitions.existing()) + 3
    assert "Would make cqrs_event_" in run("event_partitions", f"--ahead={ahead}", "--dry-run")
    assert partitions.missing(ahead=ahead)


def test_without_a_retention_nothing_is_dropped(run, due):
    assert "rop" not in run("event_partitions", "--yes")
    tasks.keep_event_partitions()
    assert is_there(due)


def test_what_is_past_the_retention_is_dropped(run, due):
    assert f"Would drop {due}" in run("event_partitions", "--retention=12", "--dry-run")
    assert is_there(due)
    assert f"Dropped {due}" in run("event_partitions", "--retention=12", "--yes")
    assert not is_there(due)


def test_beat_drops_it_too(due, settings):
    settings.EVENT_RETENTION_MONTHS = 12
    tasks.keep_event_partitions()
    assert not is_there(due)


def test_without_a_terminal_it_needs_yes(run, due, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(CommandError, match="--yes"):
        run("event_partitions", "--retention=12")
    assert is_there(due)


def test_what_is_still_needed_stays_and_is_an_exit_code(run, due, monkeypatch, settings):
    monkeypatch.setattr(partitions, "still_needed", lambda partition: "cache has not read all of it")
    with pytest.raises(CommandError, match="1 could not be dropped"):
        run("event_partitions", "--retention=12", "--yes")
    settings.EVENT_RETENTION_MONTHS = 12
    tasks.keep_event_partitions()
    assert is_there(due)
