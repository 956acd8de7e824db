"""Alarms about clocks, and the command that repairs those of partitions."""

import time

import pytest
from django.core.management import CommandError

from posts.commands import LikePost
from socialapp.cqrs import apply, inbox, keys, partition_clocks, valkey
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.models import InboxClock, InboxCommand
from socialapp.cqrs.submit import submit
from socialapp.ops import clock_differences, health, liveness
from socialapp.tests import crashes
from socialapp.tests.conditions import invisible, visible

PARTITION = 7
TWO_DAYS = 2 * 86400
READY = """
import json
from django.test import RequestFactory
from socialapp.ops import health, metrics
entry = health._checked(health._clocks)
print(json.dumps([entry, metrics.exposition(RequestFactory().get("/")).content.decode()]))
"""

pytestmark = pytest.mark.usefixtures("clean_stores")


def ahead() -> int:
    return int((time.time() + TWO_DAYS) * 1e6)


@pytest.fixture
def both_ahead():
    valkey.command_log().set(keys.clock(PARTITION), ahead())
    InboxClock.objects.create(partition=PARTITION, stamp=ahead())


def wrong() -> list[int]:
    return [one.partition for one in partition_clocks.all_ahead() if one.is_wrong]


def row(said: str) -> list[str]:
    return next(line for line in said.splitlines() if line.split()[:1] == [f"{PARTITION:x}"]).split()


@pytest.mark.parametrize("by", [TWO_DAYS, -TWO_DAYS])
def test_a_server_whose_clock_is_wrong_says_so(by):
    """It is asked for its health and its metrics every few seconds."""
    said = crashes.run(READY, before=crashes.CLOCK_OFF.format(by=by))
    assert '"status": "down"' in said and '"this process": ' in said
    family = 'socialapp_clock_difference_seconds{server=\\"this process\\"} '
    assert abs(float(said.partition(family)[2].partition("\\n")[0]) - abs(by)) < 10
    assert '"cache"' not in said.partition("ahead_seconds")[2].partition("]")[0], "the others are right"


def test_right_clocks_are_no_alarm(author):
    differences = clock_differences.all_differences()
    assert {"this process", "cache", "state", "log"} <= differences.keys()
    assert all(abs(seconds) < 0.5 for seconds in differences.values())
    assert health._clocks() == {} and health._partition_clocks() == {}


def test_a_worker_whose_clock_is_wrong_is_named_and_its_life_is_not_longer():
    class Worker:
        hostname = "worker-9@here"

    sign = liveness.Liveness(Worker())
    sign.ahead = TWO_DAYS
    sign.renew()
    assert sign.ahead == 0.0, "its clock has been set"
    assert visible("a wrong clock")
    assert health._clocks()["ahead_seconds"] == {"worker-9": pytest.approx(TWO_DAYS, abs=1)}
    until = valkey.state().zscore(keys.alive("worker"), "worker-9")
    assert until == pytest.approx(time.time() + liveness.LIFETIME, abs=2)
    assert liveness.alive("worker") == ["worker-9"]


def test_clocks_of_partitions_are_shown_and_repaired(run, author, both_ahead):
    assert visible("a partition clock ahead")
    assert wrong() == [PARTITION] and health._partition_clocks()["partitions"] == ["7"]
    with pytest.raises(CommandError, match="without --dry-run"):
        run("repair_clock", "--dry-run")
    assert wrong() == [PARTITION]
    assert row(run("repair_clock"))[-1] == "repaired"
    assert invisible("a partition clock ahead")
    assert wrong() == [] and row(run("repair_clock", "--partition", "7"))[-1] == "right"
    assert submit(LikePost(), actor_id=author, resource_id=new_id(PARTITION)).token.stamp < ahead() - 1e9


def test_a_clock_is_not_set_back_before_commands_that_wait(run, author, both_ahead, monkeypatch):
    """Later ones would get lower stamps, and overtake them."""
    monkeypatch.setattr("socialapp.ops.management.commands.repair_clock.PATIENCE", 0)
    submit(LikePost(), actor_id=author, resource_id=new_id(PARTITION))
    inbox.put(Envelope(new_id(PARTITION), LikePost(), author, new_id(PARTITION)), after_stamp=0)
    with pytest.raises(CommandError, match="partition 7 is ahead: commands wait there"):
        run("repair_clock", "--partition", "7")
    assert InboxClock.objects.get().stamp > ahead() - 1e9
    apply.drain(PARTITION)
    assert not InboxCommand.objects.exists()
    run("repair_clock")
    assert wrong() == []


@pytest.mark.parametrize("partition", ["16", "x", "-1"])
def test_a_partition_is_a_hex_digit(run, partition):
    with pytest.raises(CommandError, match="no hex digit"):
        run("repair_clock", f"--partition={partition}")
