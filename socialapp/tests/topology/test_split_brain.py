"""A replica is promoted while the primary lives on: the pools go on with the primary, and say that there are two."""

import itertools
import json
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
from django.db import connections

from deploy.bench.servers import gunicorn
from deploy.embedded.environment import database_url
from socialapp.cqrs import fencing, heartbeat, routing, servers, timelines, valkey
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.http.freshness import settled
from socialapp.cqrs.routing import Requirement, requiring
from socialapp.tests.client import Api, register
from socialapp.tests.conditions import invisible, visible
from socialapp.tests.topology.conftest import as_superuser, wait_for, wait_until
from socialapp.tests.topology.test_frozen_replica import frozen

CLONE = "replica2"


@pytest.fixture
def stack_of_the_test(servers):
    """The Stack; `servers` is a module here."""
    return servers


@pytest.fixture
def promote(stack_of_the_test, clone, reading, writing, another_server):
    """promote(): the clone, an alias of this process, becomes a primary that nobody was told of."""
    another_server(CLONE, clone.sockets)

    def promoted() -> None:
        with writing():
            heartbeat.beat()
        with as_superuser(stack_of_the_test, "clone") as superuser:
            wait_until(superuser, f"SELECT pg_last_wal_replay_lsn() - '0/0' >= {routing.position('default')[1]}")
            superuser.execute("SELECT pg_promote()")
            wait_until(superuser, "SELECT NOT pg_is_in_recovery()")

    return promoted


def beat_through(alias: str, monkeypatch) -> heartbeat.Beat:
    """What workers do whose DATABASE_URL names the server of `alias`."""
    with monkeypatch.context() as patched:
        connections["default"].close()
        patched.setitem(connections.databases["default"], "HOST", connections.databases[alias]["HOST"])
        patched.setitem(connections.databases["default"], "USER", "socialapp")
        found = heartbeat.beat()
        connections["default"].close()
    return found


def read_with(token: Token, *, alone: str = "") -> tuple[str, bool]:
    """(the alias that answers, whether it is `strong`). alone: the only alias that is usable."""
    servers.forget()
    for alias in connections:
        if alone and alias != alone:
            servers.eject(alias, servers.UNREACHABLE)
    required = Requirement(token)
    with requiring(required):
        return routing.choose().alias, required.kept


def test_a_promoted_server_without_a_heartbeat_answers_for_nobody(promote, writing):
    before = Token(*routing.position("default"))
    assert invisible("a split brain")
    promote()
    found = servers.look(CLONE)
    assert (found.timeline, found.beat.timeline) == (2, 1)
    assert servers.refusal(found) == servers.NO_HEARTBEAT
    assert {read_with(before)[0] for _ in range(20)} <= {"default", "replica1"}
    assert not servers.refusal(servers.look("default")), "its higher timeline ejects nobody"
    assert read_with(before, alone=CLONE) == (CLONE, False), "also what it has is not called strong"
    assert read_with(Token(2), alone=CLONE) == (CLONE, False), "even for a token that stands for nothing"
    assert visible("a split brain")
    assert fencing.found() == "several servers take writes: default on timeline 1, replica2 on timeline 2"


def test_a_promoted_server_fills_no_cache(promote):
    promote()
    servers.forget()
    for alias in ("default", "replica1"):
        servers.eject(alias, servers.UNREACHABLE)
    for required in ({}, {"only_primary": True}):
        read = routing.read_with(lambda alias: alias, place_after=True, **required)
        assert (read.result, read.place) == (CLONE, None)


def test_two_timelines_with_heartbeats(promote, monkeypatch, caplog):
    """Some workers write to each side: reads stay with the side that the state store names, and none is strong."""
    promote()
    assert beat_through(CLONE, monkeypatch).timeline == 2
    assert servers.refusal(servers.look("default")) == servers.OLDER_TIMELINE
    assert not servers.refusal(servers.look(CLONE))
    assert beat_through("default", monkeypatch).timeline == 1
    assert "split brain" in caplog.text
    heartbeat._looked_at = 0.0
    assert servers.refusal(servers.look(CLONE)) == servers.OTHER_PRIMARY
    assert read_with(Token())[0] in ("default", "replica1")
    here, there = Token(*routing.position("default")), Token(*routing.position(CLONE))
    for token in (here, there, here.merged(there)):
        assert settled(token, 0) == (token, False), "nothing is given up, and nothing is promised"
    valkey.state().delete(heartbeat._DISPUTED)
    heartbeat._looked_at = 0.0
    assert settled(here, 0) == (here, True)
    assert settled(there, 0) == (there, False), "that side is not written to any more"


def test_a_token_keeps_its_position_while_the_old_primary_lives(promote, writing, monkeypatch):
    """The workers were pointed at the promoted server; this client wrote to the old primary, which still answers."""
    promote()
    with writing():
        connections["default"].cursor().execute("CREATE TABLE written_on_the_other_side ()")
    token = Token(*routing.position("default"))
    beat_through(CLONE, monkeypatch)
    monkeypatch.setattr(timelines, "SETTLING", 0.0)
    fencing.look_around()
    assert "several servers" in fencing.found()
    for _ in range(3):
        assert settled(token, 0) == (token, False)
    connections["default"].close()
    monkeypatch.setitem(connections.databases["default"], "HOST", connections.databases[CLONE]["HOST"])
    fencing.look_around()
    assert fencing.found() == "", "two aliases of one server are one primary"
    following, kept = settled(token, 0)
    assert not kept and not following.positions(), "what was lost with the old primary is told once more"
    assert settled(following, 0) == (following, True)
    connections["default"].close()


@dataclass
class Reader:
    """A client that reads what it has just written, with each token that it is given."""

    write: Api
    read: Api
    last: str = ""
    answers: list[tuple[float, str, bool]] = field(default_factory=list)

    def write_and_read(self, number: int) -> None:
        self.last = f"name {number}"
        token = self.write.patch("/api/v1/me", {"name": self.last}, prefer="wait=1").token
        for path in ("/api/v1/me", f"/api/v1/users/{self.write.username}", "/api/v1/me"):
            answer = self.read.get(path, consistency_token=token)
            assert answer.status == 200, answer.body
            stale = answer.json()["name"] != self.last
            self.answers.append((time.monotonic(), answer.headers["Consistency"], stale))
            token = answer.token

    def since(self, moment: float) -> list[tuple[str, bool]]:
        return [(consistency, stale) for at, consistency, stale in self.answers if at >= moment]


def is_degraded(pool: Api) -> bool:
    document = json.loads(pool.get("/health/ready").body)
    found = document["dependencies"]
    return document["status"] == "degraded" and found["one_primary"]["status"] == "degraded"


def test_no_stale_read_is_strong_and_the_pools_are_degraded_within_five_seconds(stack, clone):
    """The primary freezes, the replica is promoted, the primary thaws, and nobody changed the configuration."""
    replicas = database_url("socialapp_read", stack.cast.secret.read_password, stack.cast.home, "clone")
    with ExitStack() as pools:
        read, write, fenced = (
            Api(pools.enter_context(gunicorn(stack, "config.wsgi", workers=1, REPLICA_URLS=replicas, **options)).url)
            for options in ({}, {"pool": "write"}, {"pool": "write", "FENCE_WRITES_ON_SPLIT_BRAIN": "on"})
        )
        user = register(write.at)
        client = Reader(user, Api(read.at, headers=user.headers))
        number = itertools.count()
        fenced.headers |= user.headers
        assert fenced.patch("/api/v1/me", {"name": "not fenced"}).status == 202
        for _ in range(20):
            client.write_and_read(next(number))
        assert not any(stale for _, stale in client.since(0)) and ("strong", False) in client.since(0)
        with frozen(stack, "postgres-primary"):
            with as_superuser(stack, "clone") as superuser:
                superuser.execute("SELECT pg_promote()")
            client.write_and_read(next(number))
        thawed = time.monotonic()
        wait_for(lambda: is_degraded(read) and is_degraded(write), seconds=5)
        while time.monotonic() < thawed + 5 or len(client.since(thawed + 3)) < 12:
            client.write_and_read(next(number))
        everything, settled_down = client.since(0), client.since(thawed + 3)
        assert ("strong", True) not in everything
        assert set(settled_down) == {("strong", False)}, "from the side that is written to"
        answer = fenced.patch("/api/v1/me", {"name": "fenced"})
        assert answer.status == 503 and "Two databases take writes" in answer.json()["detail"]
        assert fenced.get("/health/ready").status == 200
