"""A replica whose disk has no byte left goes on answering and receives nothing: reads go elsewhere, and it follows
again by itself when there is room."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections

from posts import fragments
from posts.commands import CreatePost, EditPost
from socialapp.cqrs import heartbeat, routing, valkey
from socialapp.cqrs import servers as database_servers
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.routing import Requirement, requiring
from socialapp.cqrs.submit import submit
from socialapp.tests import disks
from socialapp.tests.conditions import invisible, visible
from socialapp.tests.topology.clone import Clone
from socialapp.tests.topology.conftest import as_superuser, can_connect, wait_for

# Seconds, instead of ten for which the test would have to wait.
MOST_LAG = 1.0


@pytest.fixture
def its_disk(servers, reading, monkeypatch, settings) -> Iterator[Path]:
    """The disk of the only replica that this process reads from."""
    settings.REPLICA_MAX_LAG = MOST_LAG
    with disks.small_disk(servers.cast.home.data("clone"), "600m") as folder:
        servers.cast.home.own(folder)
        clone = Clone(servers, "clone")
        clone.start()
        wait_for(lambda: can_connect(servers, "clone"))
        connections["replica1"].close()
        monkeypatch.setitem(connections.databases["replica1"], "HOST", str(clone.sockets))
        yield folder
        connections["replica1"].close()
        clone.process.kill()
        clone.process.wait(timeout=20)


@pytest.fixture
def write(writing, drain_all):
    """write(command, …): apply it, as a worker does. Returns its resource's id and a token of its position."""

    def apply(command, **where) -> tuple[str, Token]:
        with writing():
            accepted = submit(command, **where)
            drain_all()
            heartbeat.beat()
        return str(accepted.resource_id), Token(*routing.position(routing.PRIMARY))

    return apply


def text_of(post: str) -> bytes:
    """From a server, not from the cache."""
    valkey.read_cache().delete(fragments.posts.key(post))
    return fragments.posts.get(post).body


def looks(condition) -> bool:
    """Whether a condition holds after one more heartbeat and a fresh look at the newest one."""
    heartbeat._looked_at = 0.0
    return condition("a replica that does not follow", threshold=MOST_LAG)


def test_reads_go_elsewhere_until_it_has_room(servers, its_disk, write, writing, author, monkeypatch):
    post, token = write(CreatePost("before"), actor_id=author)
    with requiring(Requirement(token)):
        wait_for(lambda: routing.choose().alias == "replica1")
    assert looks(invisible)
    with disks.filled(its_disk) as filler:
        with as_superuser(servers, "primary") as primary:
            # It has room for what fits into the segment that it writes to.
            primary.execute("SELECT pg_switch_wal()")
        _, token = write(EditPost("after"), actor_id=author, resource_id=post)
        required = Requirement(token)
        with requiring(required):
            assert routing.choose().alias == "default"
            assert b"after" in text_of(post)
        assert required.kept
        assert b"after" in text_of(post), "without a token, the floor says so"

        def lags() -> bool:
            with writing():
                heartbeat.beat()
            return looks(visible)

        wait_for(lags)
        assert visible("a replica that does not follow", threshold=MOST_LAG)
        assert routing.choose().alias == "default" and routing.candidates() == ["default"]
        filler.unlink()

    monkeypatch.setattr(database_servers, "EJECTION", (0.0, 0.0))
    database_servers.forget()
    with requiring(Requirement(token)):
        wait_for(lambda: looks(invisible) and routing.choose().alias == "replica1")
        assert b"after" in text_of(post)
