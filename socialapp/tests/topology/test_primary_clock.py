"""The primary's clock was two days ahead, and was set back: what servers show is measured by the present one."""

import pytest

from socialapp.cqrs import heartbeat, servers
from socialapp.tests.topology.conftest import wait_for

AHEAD = heartbeat.BEAT.replace("clock_timestamp()", "clock_timestamp() + interval '2 days'")


@pytest.fixture
def beat(writing, monkeypatch):
    """beat(sql): the heartbeat is written, and this process has not looked at the state store for a while."""

    def write(sql: str) -> None:
        monkeypatch.setattr(heartbeat, "BEAT", sql)
        with writing():
            heartbeat.beat()
        heartbeat._looked_at = 0.0

    return write


def shows(alias: str) -> heartbeat.Beat:
    return servers.look(alias).beat


def test_no_server_lags_when_the_clock_is_right_again(reading, beat):
    present = heartbeat.BEAT
    beat(AHEAD)
    wait_for(lambda: shows("replica1") == shows("default"))
    assert not refusal("default") and not refusal("replica1")
    beat(present)
    wait_for(lambda: shows("replica1") == shows("default"))
    assert not refusal("default") and not refusal("replica1")


def refusal(alias: str) -> str:
    return servers.refusal(servers.look(alias))


def test_a_replica_that_stopped_while_the_clock_was_ahead_lags(reading, beat, paused_replica):
    present = heartbeat.BEAT
    beat(AHEAD)
    wait_for(lambda: shows("replica1") == shows("default"))
    with paused_replica():
        beat(present)
        for _ in range(3):
            assert refusal("replica1") == servers.LAGGING
            assert not refusal("default")
