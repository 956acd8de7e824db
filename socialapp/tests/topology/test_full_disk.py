"""A primary whose disk has no byte left: posts are accepted and wait, orders and registrations are refused with 503,
nobody is blamed, and everything goes on when there is room."""

import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections
from psycopg.errors import DiskFull

from posts.commands import CreatePost
from posts.models import Post
from socialapp.accounts.commands import RegisterUser
from socialapp.cqrs import apply, log, outcomes
from socialapp.cqrs.execute import execute
from socialapp.cqrs.failures import is_infrastructure
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.models import DeadLetter, InboxCommand
from socialapp.cqrs.problems import Unavailable
from socialapp.cqrs.submit import submit
from socialapp.tests import disks
from socialapp.tests.topology.clone import Clone
from socialapp.tests.topology.conftest import as_superuser, can_connect, wait_for, wait_until

PARTITION = 5
# Of pages that a table can still fill without a byte more of the disk.
MOST_TRIES = 300


@pytest.fixture
def small_disk(servers) -> Iterator[Path]:
    """Where the clone keeps its data: a disk of its own."""
    with disks.small_disk(servers.cast.home.data("clone"), "600m") as folder:
        servers.cast.home.own(folder)
        yield folder


@pytest.fixture
def small_primary(servers, small_disk, author, monkeypatch) -> Iterator[Path]:
    """DATABASE_URL names a primary on the small disk, which has what the former one had. Its folder."""
    clone = Clone(servers, "clone")
    clone.start()
    wait_for(lambda: can_connect(servers, "clone"))
    with as_superuser(servers, "clone") as superuser, as_superuser(servers, "primary") as former:
        (position,) = former.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        wait_until(superuser, f"SELECT pg_last_wal_replay_lsn() >= '{position}'")
        superuser.execute("SELECT pg_promote()")
    connections["default"].close()
    monkeypatch.setitem(connections.databases["default"], "HOST", str(clone.sockets))
    # On a full disk Postgres refuses the first connection, as it writes a file for it.
    connections["default"].ensure_connection()
    yield small_disk
    connections["default"].close()
    clone.process.send_signal(signal.SIGQUIT)
    clone.process.wait(timeout=20)


@pytest.fixture
def full(small_primary) -> Iterator[Path]:
    """The file that takes up the rest of the disk."""
    with disks.filled(small_primary) as filler:
        yield filler


def long_post(author):
    """Too long and too random for the pages that the tables have."""
    text = secrets.token_hex(2_500)
    return submit(CreatePost(text), actor_id=author, resource_id=new_id(PARTITION))


def refused(attempt) -> Exception:
    """What an attempt raises when the last page is full."""
    for _ in range(MOST_TRIES):
        try:
            attempt()
        except Exception as error:
            return error
    raise AssertionError("the disk never was full")


def test_what_was_accepted_waits_for_room_and_orders_are_refused(servers, full, author):
    accepted = []

    def accept_and_apply():
        accepted.extend(long_post(author) for _ in range(20))
        apply.drain(PARTITION)

    error = refused(accept_and_apply)
    assert isinstance(error.__cause__, DiskFull), "not for another reason"
    assert is_infrastructure(error), "the batch is tried again, and no command is blamed"
    accepted.append(long_post(author))
    assert log.backlog(PARTITION) > 0
    refusal = refused(lambda: execute(RegisterUser(f"user_{secrets.token_hex(6)}", "!"), actor_id=None))
    assert isinstance(refusal, Unavailable) and int(refusal.headers["Retry-After"]) > 0

    full.unlink()
    connections["default"].close()
    wait_for(lambda: can_connect(servers, "clone"))
    assert not InboxCommand.objects.exists(), "the log has taken all"
    wait_for(lambda: drained(PARTITION), seconds=60)
    assert {outcome.status for outcome in outcomes.lookup([one.command_id for one in accepted]).values()} == {"applied"}
    assert Post.objects.filter(pk__in=[one.resource_id for one in accepted]).count() == len(accepted)
    assert not DeadLetter.objects.filter(pk__in=[one.command_id for one in accepted]).exists()
    assert execute(RegisterUser(f"user_{secrets.token_hex(6)}", "!"), actor_id=None).resource_id


def drained(partition: int) -> bool:
    try:
        return not apply.drain(partition) and log.backlog(partition) == 0
    except Exception as error:
        assert is_infrastructure(error)
        connections["default"].close()
        return False
