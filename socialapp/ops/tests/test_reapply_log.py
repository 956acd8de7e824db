"""An operator has the log read again."""

import pytest
from django.core.management.base import CommandError

from posts.commands import CreatePost
from socialapp.cqrs import apply, log, waking
from socialapp.cqrs.ids import PARTITIONS
from socialapp.cqrs.submit import submit
from socialapp.tests.conftest import author, clean_stores, drain_all  # noqa: F401 fixtures


@pytest.fixture
def applied(author, drain_all):  # noqa: F811
    for number in range(5):
        submit(CreatePost(f"number {number}"), actor_id=author)
    drain_all()


def waiting() -> int:
    return sum(log.backlog(partition) for partition in range(PARTITIONS))


def test_a_dry_run_counts(applied, run):
    assert "5 commands would be read again" in run("reapply_log", "--dry-run")
    assert waiting() == 0


def test_it_watches_until_the_workers_are_done(applied, run, monkeypatch):
    monkeypatch.setattr(waking, "wake_partition", apply.drain)
    assert "5 commands were read again" in run("reapply_log")
    assert waiting() == 0


def test_it_may_leave_them_to_the_workers(applied, run):
    assert "5 commands will be read again" in run("reapply_log", "--no-wait", "--since=2026-01-15T11:00:00Z")
    assert waiting() == 5


def test_what_came_before_is_left_alone(applied, run):
    assert "0 commands will" in run("reapply_log", "--no-wait", "--since=2100-01-01T00:00:00")


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01T00:00:00"])
def test_a_time_that_is_none_is_refused(servers, run, text):
    with pytest.raises(CommandError, match="no time"):
        run("reapply_log", f"--since={text}")
