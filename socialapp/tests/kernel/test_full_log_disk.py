"""The log's disk has no byte left: Valkey ends at its next write, the inbox takes what comes, and everything is applied
when there is room."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from config.settings import caches
from deploy.embedded import binaries
from posts.commands import CreatePost
from posts.models import Post
from socialapp.cqrs import apply, keys, outcomes, valkey
from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.failures import is_infrastructure
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.models import DeadLetter, InboxCommand
from socialapp.cqrs.submit import submit
from socialapp.tests import conditions, disks
from socialapp.tests.valkeys import ValkeyLog, valkey_log

PARTITION = 5
CONFIGURATION = Path(__file__).parents[3] / "deploy" / "valkey" / "log.conf"


def shipped() -> dict[str, str]:
    """The options of log.conf, without the place where it listens."""
    lines = [line.split(maxsplit=1) for line in CONFIGURATION.read_text().splitlines() if line[:1] not in ("", "#")]
    return {name: value.strip('"') for name, value in lines if name != "port"}


@pytest.fixture
def log_disk(servers, tmp_path) -> Iterator[Path]:
    with disks.small_disk(tmp_path / "log", "8m") as folder:
        yield folder


@pytest.fixture
def own_log(log_disk, settings, monkeypatch, fresh, clean_stores) -> Iterator[ValkeyLog]:
    with valkey_log(binaries.valkey(), log_disk, **shipped()) as server:
        settings.CACHES = settings.CACHES | {"command_log": caches.valkey(server.url, timeout=2)}
        settings.DISKS = {"log": str(log_disk)}
        monkeypatch.setattr("socialapp.cqrs.submit.breaker", Breaker(open_for=(0, 0), probe=0))
        monkeypatch.setattr(outcomes, "_breaker", Breaker(open_for=(0, 0), probe=0))
        yield server


def posted(author, number: int):
    return submit(CreatePost(f"number {number}"), actor_id=author, resource_id=new_id(PARTITION))


def has_ended(server: ValkeyLog) -> bool:
    return server.process.poll() is not None


def backlog_says() -> str:
    with pytest.raises(CommandError) as refusal:
        call_command("backlog")
    return str(refusal.value)


def test_what_was_accepted_before_and_after_the_log_ended_is_applied_when_there_is_room(
    own_log, log_disk, author, drain_all
):
    accepted = [posted(author, number) for number in range(5)]
    with disks.filled(log_disk) as filler:
        # The last page of its file has room for a few more.
        while not has_ended(own_log):
            accepted.append(posted(author, len(accepted)))
        assert own_log.process.returncode == 1, "Valkey ends: what it could not write it cannot take back"
        accepted.append(posted(author, len(accepted)))
        assert InboxCommand.objects.count() == 2, "the write that met the full disk, and the one after it"
        assert conditions.visible("a full disk")
        assert "on the disk of log: make room" in backlog_says() and "2 commands wait in the inbox" in backlog_says()

        # As the supervisor does. It reads what it has, and ends at the next write.
        own_log.start(**shipped())
        assert own_log.client().xlen(keys.stream(PARTITION)) == len(accepted) - 2
        with pytest.raises(valkey.UNREACHABLE) as failure:
            apply.drain(PARTITION)
        assert is_infrastructure(failure.value), "nobody is blamed"
        own_log.process.wait(timeout=10)
        filler.unlink()

    own_log.start(**shipped())
    accepted.append(posted(author, len(accepted)))
    drain_all()
    found = outcomes.lookup([one.command_id for one in accepted])
    assert [found[one.command_id].status for one in accepted] == ["applied"] * len(accepted)
    assert Post.objects.filter(author=author).count() == len(accepted)
    assert not InboxCommand.objects.exists() and not DeadLetter.objects.filter(pk__in=found).exists()


def test_a_command_that_was_half_written_when_the_power_went_does_not_stop_the_log(own_log, log_disk, author):
    accepted = posted(author, 0)
    own_log.kill()
    (file,) = log_disk.rglob("*.incr.aof")
    whole = file.stat().st_size
    with file.open("ab") as torn:
        torn.write(b"*5\r\n$4\r\nXADD\r\n$40\r\nsocial")
    own_log.start(**shipped())
    assert file.stat().st_size == whole
    assert own_log.client().xlen(keys.stream(PARTITION)) == 1
    assert outcomes.lookup([accepted.command_id])[accepted.command_id].status == "accepted"
