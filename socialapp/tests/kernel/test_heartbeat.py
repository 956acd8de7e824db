"""The heartbeat: the newest one seen anywhere is what lag is measured by."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from socialapp.cqrs import cache, heartbeat, keys, promotions, valkey
from socialapp.cqrs.heartbeat import NEVER, Beat
from socialapp.cqrs.servers import Place
from socialapp.tests.topology.test_frozen_replica import frozen

TWO_DAYS = timedelta(days=2)


@pytest.fixture(autouse=True)
def nothing_seen():
    heartbeat.forget()
    yield
    heartbeat.forget()


def test_everybody_is_told_of_it():
    written = heartbeat.beat()
    assert heartbeat.newest() == written
    assert 0 <= heartbeat.silence() < 5


def test_what_a_server_shows_may_be_newer_than_what_was_told():
    told = heartbeat.beat()
    shown = Beat(told.timeline, told.time + timedelta(seconds=1))
    assert heartbeat.newest(shown) == shown
    assert heartbeat.newest(told) == shown, "and it is remembered"


def test_a_clock_that_was_ahead_once_is_forgotten():
    present = heartbeat.beat()
    ahead = Beat(present.timeline, present.time + TWO_DAYS)
    told(ahead)
    assert heartbeat.newest() == ahead
    told(present)
    assert heartbeat.newest() == present
    told(ahead)
    assert heartbeat.newest() == ahead
    assert heartbeat.beat().time < ahead.time and heartbeat.newest().time < ahead.time, "in the process of beat"


def test_a_row_from_before_the_clock_was_set_back_is_not_the_newest():
    present = heartbeat.beat()
    assert heartbeat.newest(Beat(present.timeline, present.time + TWO_DAYS)) == present


def test_rows_are_newer_than_what_a_state_store_names_that_refuses_writes():
    named = heartbeat.beat()
    assert heartbeat.newest() == named
    shown = Beat(named.timeline, named.time + timedelta(seconds=60))
    heartbeat._told_at -= 60
    assert heartbeat.newest(shown) == shown
    heartbeat._looked_at = 0.0
    assert heartbeat.newest() == shown, "the same again is no news"


def told(beat: Beat) -> None:
    """Beat publishes this heartbeat, and this process has not looked for a while."""
    valkey.state().set(heartbeat._KEY, orjson.dumps([*beat]))
    heartbeat._looked_at = 0.0


def test_the_pools_write_where_the_state_store_says():
    """A promoted server's clock may be behind, and its timeline is higher whether or not anybody writes there."""
    present = heartbeat.beat()
    promoted = Beat(present.timeline + 1, present.time + timedelta(minutes=5))
    assert heartbeat.newest(promoted) == present, "a row alone moves no pool"
    behind = Beat(promoted.timeline, present.time - timedelta(minutes=5))
    told(behind)
    assert heartbeat.newest(present) == behind
    told(present)
    assert heartbeat.newest() == present, "the operator has chosen the older side"


def test_a_timeline_that_something_else_names_is_looked_up_at_once(monkeypatch):
    present = heartbeat.beat()
    assert heartbeat.newest() == present
    valkey.state().set(heartbeat._KEY, orjson.dumps([present.timeline + 1, present.time]))
    monkeypatch.setattr(heartbeat, "SOON", 0.0)
    assert heartbeat.timeline(present.timeline) == present.timeline, "looked at a moment ago"
    assert heartbeat.timeline(present.timeline + 1) == present.timeline + 1


def unreachable():
    raise valkey.RedisError("down")


def test_without_the_state_store_there_is_what_this_process_has_seen(monkeypatch):
    monkeypatch.setattr(valkey, "state", unreachable)
    assert heartbeat.newest() == NEVER
    first = Beat(1, datetime.now(UTC))
    assert heartbeat.newest(first) == first
    other = Beat(2, first.time + timedelta(seconds=heartbeat.STOPPED - 1))
    assert heartbeat.newest(other) == first, "both may be written to"
    assert heartbeat.newest(other, ours=True) == other, "DATABASE_URL names it"
    assert heartbeat.newest(first, ours=True) == first
    much_later = Beat(2, first.time + timedelta(seconds=heartbeat.STOPPED + 1))
    assert heartbeat.newest(much_later) == much_later, "those of the first have stopped"


def test_heartbeats_on_two_timelines_are_a_dispute(caplog):
    present = heartbeat.beat()
    assert not heartbeat.is_disputed()
    told(Beat(present.timeline + 1, present.time))
    assert heartbeat.beat().timeline == present.timeline
    heartbeat._looked_at = 0.0
    assert heartbeat.is_disputed() and heartbeat.undisputed_for() == 0
    assert "split brain" in caplog.text
    valkey.state().delete(heartbeat._DISPUTED)
    heartbeat._looked_at = 0.0
    assert not heartbeat.is_disputed()
    heartbeat._changed_at -= 3600
    assert heartbeat.undisputed_for() < 60, "not since the timeline was seen first"


def test_a_dispute_is_remembered_while_the_state_store_is_silent(servers, monkeypatch):
    told(heartbeat.beat())
    valkey.state().set(heartbeat._DISPUTED, "both are written to", ex=60)
    assert heartbeat.is_disputed()
    with frozen(servers, "valkey-state"):
        heartbeat._looked_at = 0.0
        assert heartbeat.is_disputed() and heartbeat.undisputed_for() == 0
        monkeypatch.setattr(heartbeat, "DISPUTED_FOR", 0.0)
        assert not heartbeat.is_disputed(), "nobody says for how long it lasted"


def test_a_state_store_that_was_restarted_empty_ends_no_dispute():
    heartbeat.dispute("both are written to")
    valkey.state().delete(heartbeat._KEY, heartbeat._DISPUTED)
    assert heartbeat.is_disputed()
    told(heartbeat.beat())
    assert not heartbeat.is_disputed()


def test_a_silence_that_nobody_broke_is_endless():
    valkey.state().delete(heartbeat._KEY)
    assert heartbeat.silence() > 1e6


ENTRY = keys.entry("things", "entity", "1")


def has_entry() -> bool:
    return bool(valkey.read_cache().exists(ENTRY))


def test_the_cache_starts_afresh_once_after_a_promotion():
    """What it holds may be a write that was lost with the old primary."""
    promotions.forget_lost_writes(1)
    valkey.read_cache().set(ENTRY, "lost")
    promotions.forget_lost_writes(1)
    assert has_entry()
    promotions.forget_lost_writes(2)
    assert not has_entry()
    valkey.read_cache().set(ENTRY, "kept")
    promotions.forget_lost_writes(2)
    assert has_entry()


def test_one_process_at_a_time_empties_the_cache(monkeypatch):
    """Heartbeats go on each second, and emptying a large cache takes longer."""
    promotions.forget_lost_writes(1)
    begin, begun = cache.begin_timeline, []

    def meanwhile(place):
        begun.append(place)
        if len(begun) < 5:
            promotions.forget_lost_writes(2)
        begin(place)

    monkeypatch.setattr(cache, "begin_timeline", meanwhile)
    promotions.forget_lost_writes(2)
    promotions.forget_lost_writes(2)
    assert len(begun) == 1
    monkeypatch.setattr(cache, "begin_timeline", begin)
    promotions.forget_lost_writes(3)
    valkey.read_cache().set(ENTRY, "kept")
    promotions.forget_lost_writes(3)
    assert has_entry()


def test_back_on_the_older_timeline_the_cache_can_be_filled():
    promotions.forget_lost_writes(2)
    cache.invalidate([ENTRY], place=Place(2, 1))
    promotions.forget_lost_writes(1)
    lease = cache.lookup(ENTRY)
    assert lease.floor is None and cache.fill(lease, b"body", place=Place(1, 1), ttl=10)


def test_a_dispute_empties_no_cache():
    """Two workers that write to different primaries would otherwise empty it each second."""
    promotions.forget_lost_writes(1)
    valkey.read_cache().set(ENTRY, "kept")
    heartbeat.dispute("both are written to")
    promotions.forget_lost_writes(2)
    assert has_entry()
