"""A log that comes back empty, shorter or as another one is an alarm until somebody acknowledges it."""

import pytest
from django.core.management import CommandError, call_command

from posts.commands import LikePost
from socialapp.cqrs import apply, keys, log, log_history, retention, valkey
from socialapp.cqrs.ids import PARTITIONS, new_id
from socialapp.cqrs.models import LogGeneration
from socialapp.cqrs.submit import submit
from socialapp.tests.conditions import invisible, visible

PARTITION = 5


@pytest.fixture(autouse=True)
def known(clean_stores, author):
    """A log with three commands in a partition, as somebody has seen it."""
    LogGeneration.objects.all().delete()
    for _ in range(3):
        submit(LikePost(), actor_id=author, resource_id=new_id(PARTITION))
    log_history.watch()
    yield
    LogGeneration.objects.all().delete()


def found() -> dict[int, str]:
    log_history.watch()
    return {one.partition: one.loss for one in log_history.losses()}


def entries() -> list[bytes]:
    return [entry_id for entry_id, _ in valkey.command_log().xrange(keys.stream(PARTITION))]


def test_a_log_that_only_grows_and_is_trimmed_has_lost_nothing(author, settings):
    assert found() == {}
    submit(LikePost(), actor_id=author, resource_id=new_id(PARTITION))
    assert found() == {}
    apply.drain(PARTITION)
    settings.LOG_RETENTION = 0
    retention.trim()
    assert found() == {}
    submit(LikePost(), actor_id=author, resource_id=new_id(PARTITION))
    valkey.command_log().xtrim(keys.stream(PARTITION), maxlen=1, approximate=False)
    assert found() == {}


def test_a_log_that_was_emptied(author):
    valkey.command_log().flushdb()
    submit(LikePost(), actor_id=author, resource_id=new_id(PARTITION))
    lost = found()
    assert len(lost) == PARTITIONS and lost[PARTITION] == "it was emptied; 3 commands waited when it was last seen"
    assert len(found()) == PARTITIONS, "until it is acknowledged"


def test_a_log_whose_end_is_missing(author):
    """As after a crash with a torn file, though commands were appended before anybody looked."""
    valkey.command_log().xdel(keys.stream(PARTITION), *entries()[1:])
    submit(LikePost(), actor_id=author, resource_id=new_id(PARTITION))
    assert list(found()) == [PARTITION] and "its end is missing" in found()[PARTITION]


def test_a_log_that_was_restored_from_an_older_copy():
    before = valkey.command_log().dump(keys.stream(PARTITION))
    valkey.command_log().xadd(keys.stream(PARTITION), {"c": b"{}", "s": 1})
    log_history.watch()
    valkey.command_log().restore(keys.stream(PARTITION), 0, before, replace=True)
    valkey.command_log().delete(keys.status(new_id(PARTITION)))
    assert list(found()) == [PARTITION]


def test_a_log_that_was_restored_from_a_copy_without_entries(author):
    """They had been let go of when it was made, so only the last id tells."""
    valkey.command_log().xtrim(keys.stream(PARTITION), maxlen=0, approximate=False)
    before = valkey.command_log().dump(keys.stream(PARTITION))
    submit(LikePost(), actor_id=author, resource_id=new_id(PARTITION))
    log_history.watch()
    valkey.command_log().restore(keys.stream(PARTITION), 0, before, replace=True)
    assert list(found()) == [PARTITION]


def test_another_log_in_its_place():
    valkey.command_log().set(keys.log_generation(PARTITION), "another")
    assert found() == {PARTITION: "it is another log than before; 3 commands waited when it was last seen"}


def test_a_loss_is_an_alarm_everywhere_until_it_is_acknowledged(capsys):
    valkey.command_log().set(keys.log_generation(PARTITION), "another")
    assert found()
    assert visible("commands lost with the log")
    with pytest.raises(CommandError, match="Partition 5 of the log has lost commands: it is another"):
        call_command("backlog")
    call_command("acknowledge_log_loss", dry_run=True)
    assert "partition 5" in capsys.readouterr().out and log_history.losses()
    call_command("acknowledge_log_loss")
    assert invisible("commands lost with the log") and found() == {}


def test_a_new_log_on_an_old_primary_is_adopted():
    """As with the first start of a version that knows generations, and with commands in the log."""
    LogGeneration.objects.all().delete()
    valkey.command_log().delete(keys.log_generation(PARTITION))
    assert found() == {}
    row = LogGeneration.objects.get(pk=PARTITION)
    assert row.generation == valkey.command_log().get(keys.log_generation(PARTITION)).decode()
    assert row.last_id == entries()[-1].decode() and row.waiting == log.backlog(PARTITION)
