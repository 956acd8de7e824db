"""The heartbeat: the newest one seen anywhere is what lag is measured by."""

from datetime import timedelta

import pytest

from socialapp.cqrs import heartbeat, promotions, valkey
from socialapp.cqrs.heartbeat import NEVER, Beat


@pytest.fixture(autouse=True)
def nothing_seen(monkeypatch):
    monkeypatch.setattr(heartbeat, "_newest", NEVER)
    monkeypatch.setattr(heartbeat, "_looked_at", 0.0)


def test_everybody_is_told_of_it():
    written = heartbeat.beat()
    assert heartbeat.newest() == written
    assert 0 <= heartbeat.silence() < 5


def test_what_a_server_shows_may_be_newer_than_what_was_told():
    told = heartbeat.beat()
    shown = Beat(told.timeline, told.time + timedelta(seconds=1))
    assert heartbeat.newest(shown) == shown
    assert heartbeat.newest(told) == shown, "and it is remembered"


def test_a_promoted_servers_clock_may_be_behind():
    told = heartbeat.beat()
    promoted = Beat(told.timeline + 1, told.time - timedelta(minutes=5))
    assert heartbeat.newest(promoted) == promoted


def test_without_the_state_store_there_is_what_this_process_has_seen(monkeypatch):
    heartbeat.beat()

    def unreachable():
        raise valkey.RedisError("down")

    monkeypatch.setattr(valkey, "state", unreachable)
    assert heartbeat.newest() == NEVER


def test_a_silence_that_nobody_broke_is_endless():
    valkey.state().delete(heartbeat._KEY)
    assert heartbeat.silence() > 1e6


def test_the_cache_starts_afresh_once_after_a_promotion():
    """What it holds may be a write that was lost with the old primary."""
    promotions.forget_lost_writes(1)
    valkey.read_cache().set("socialapp:v1:things:entity:1:{000}", "lost")
    promotions.forget_lost_writes(1)
    assert valkey.read_cache().dbsize() == 1
    promotions.forget_lost_writes(2)
    assert valkey.read_cache().dbsize() == 0
    valkey.read_cache().set("socialapp:v1:things:entity:1:{000}", "kept")
    promotions.forget_lost_writes(2)
    assert valkey.read_cache().dbsize() == 1
