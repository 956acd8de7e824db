"""A replica is promoted: what a token of the old timeline stands for was kept, or is told to be possibly lost."""

import pytest
from django.db import connections
from django.http import HttpResponse
from django.test import RequestFactory

from socialapp.cqrs import heartbeat, keys, promotions, reader, routing, servers, timelines, valkey
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.http.freshness import freshness, settled
from socialapp.cqrs.routing import Requirement, requiring
from socialapp.tests.topology.conftest import as_superuser, wait_for, wait_until


@pytest.fixture
def stack_of_the_test(servers):
    """The Stack; `servers` is a module here."""
    return servers


@pytest.fixture
def promoted(stack_of_the_test, clone, reading, writing, monkeypatch):
    """The clone becomes the primary, and DATABASE_URL points there; replica1 still follows the old one.

    {"survived", "lost": Token} of the old timeline.
    """

    def beat_on_the_old_primary() -> Token:
        with writing():
            heartbeat.beat()
        return Token(*routing.position("default"))

    beat_on_the_old_primary()
    survived = Token(*last_beat())
    with as_superuser(stack_of_the_test, "clone") as superuser:
        wait_until(superuser, f"SELECT pg_last_wal_replay_lsn() - '0/0' >= {beat_on_the_old_primary().position}")
        # From here on the clone receives nothing: what is written now is lost.
        superuser.execute("ALTER SYSTEM SET primary_conninfo = ''")
        superuser.execute("SELECT pg_reload_conf()")
        wait_until(superuser, "SELECT count(*) = 0 FROM pg_stat_wal_receiver")
        lost = beat_on_the_old_primary()
        superuser.execute("SELECT pg_promote()")
        # The new primary's position is soon beyond those that were lost, and says nothing about them.
        superuser.execute("SELECT pg_switch_wal()")
    connections["default"].close()
    monkeypatch.setitem(connections.databases["default"], "HOST", str(clone.sockets))
    yield {"survived": survived, "lost": lost}
    connections["default"].close()


def last_beat() -> tuple[int, int]:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT timeline, position FROM cqrs_heartbeat")
        return cursor.fetchone()


def read_with(token: Token) -> tuple[str, bool]:
    required = Requirement(token)
    with requiring(required):
        return routing.choose().alias, required.kept


def test_tokens_of_the_old_timeline(promoted, writing, monkeypatch):
    servers.eject("replica1", servers.UNREACHABLE)
    before_the_first_beat = read_with(promoted["survived"]), read_with(promoted["lost"])
    with writing():
        heartbeat.beat()
    assert routing.position("default")[0] == 2
    after = read_with(promoted["survived"]), read_with(promoted["lost"])
    assert before_the_first_beat == (("default", False), ("default", False)), "nobody is known to write there"
    assert after == (("default", True), ("default", False))
    servers.forget()
    old_replica = servers.look("replica1")
    assert servers.refusal(old_replica) == servers.OLDER_TIMELINE
    assert not timelines.contains(old_replica, Token(2, 1))
    assert read_with(Token(2, 1)) == ("default", True)
    still_told(promoted)
    monkeypatch.setattr(timelines, "SETTLING", 0.0)
    told_once(promoted)


def still_told(promoted) -> None:
    """As long as the old timeline may be alive, the token keeps what may be lost."""
    assert settled(promoted["lost"], 0) == (promoted["lost"], False)
    assert settled(promoted["lost"], 0) == (promoted["lost"], False)


def told_once(promoted) -> None:
    """A token whose writes may be lost is `eventual` also where the cache answers; the next one can be kept."""
    kept, whole = settled(promoted["survived"], 0)
    assert whole and kept.timeline == 2
    following, whole = settled(promoted["lost"], 0)
    assert not whole and following.positions() == {}
    assert settled(following, 0) == (following, True)
    both = promoted["lost"].merged(Token(2, 1))
    answer = freshness(lambda _: HttpResponse())(RequestFactory().get("/", HTTP_CONSISTENCY_TOKEN=both.encode()))
    assert answer["Consistency"] == "eventual"
    again = RequestFactory().get("/", HTTP_CONSISTENCY_TOKEN=answer["Consistency-Token"])
    assert freshness(lambda _: HttpResponse())(again)["Consistency"] == "strong"


def test_a_replica_that_was_ahead_refills_nothing(stack_of_the_test, promoted, writing, monkeypatch):
    """A reader looked at the heartbeat just before the promoted primary's first one; the replica has the lost write."""
    before = heartbeat.newest()
    with writing():
        promotions.forget_lost_writes(heartbeat.beat().timeline)
    with as_superuser(stack_of_the_test, "primary") as old:
        # The old history goes on, and is soon beyond the new one by its mere position.
        while routing.position("replica1").position <= routing.position("default").position:
            old.execute("SELECT pg_logical_emit_message(true, 'x', 'x')")
            old.execute("SELECT pg_switch_wal()")
    monkeypatch.setattr(heartbeat, "_refresh", lambda **_: None)
    monkeypatch.setattr(heartbeat, "_newest", before)
    assert not servers.refusal(servers.look("replica1")), "so this reader takes it for a good one"
    key, asked = keys.entry("things", "entity", "lost"), []

    def load(slots, using):
        asked.append(using)
        return dict.fromkeys(slots, b"lost")

    assert reader.read([(key, "")], load, 60) == [b"lost"]
    assert not valkey.read_cache().exists(key), f"filled from {asked}"


def test_only_the_old_timeline_alive_is_eventual(promoted, writing, dead_primary):
    with writing():
        heartbeat.beat()
    with dead_primary():
        assert read_with(Token(2, 1)) == ("replica1", False)
    wait_for(lambda: heartbeat.newest().timeline == 2)
