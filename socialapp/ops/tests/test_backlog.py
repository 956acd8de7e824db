"""manage.py backlog: what waits, where, and for how long."""

import pytest
from django.core.management import CommandError

from posts.commands import CreatePost
from socialapp.cqrs import apply, backlog, keys, log, valkey
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.submit import submit

PARTITION = 5


@pytest.fixture(autouse=True)
def emptied(clean_stores, drain_all):
    drain_all()


def row(said: str) -> list[str]:
    return next(line for line in said.splitlines() if line.split()[:1] == [f"{PARTITION:x}"]).split()


def test_commands_are_counted_until_they_are_applied(run, author):
    for _ in range(3):
        submit(CreatePost("waits"), actor_id=author, resource_id=new_id(PARTITION))
    said = run("backlog")
    assert row(said)[1] == "3" and "3 commands wait." in said
    apply.drain(PARTITION)
    assert "0 commands wait." in run("backlog")


def test_the_oldest_is_one_that_was_read_and_not_acknowledged(run, author):
    submit(CreatePost("first"), actor_id=author, resource_id=new_id(PARTITION))
    (entry,) = log.read(PARTITION, limit=1)
    later = submit(CreatePost("second"), actor_id=author, resource_id=new_id(PARTITION))
    found = backlog.in_log()[PARTITION]
    seconds, micros = valkey.command_log().time()
    assert found.streamed == 2
    # Ages are counted from the entry's id, which has milliseconds; the stamp has microseconds.
    assert found.seconds <= seconds + micros / 1e6 - entry.stamp / 1e6 + 0.001
    assert found.seconds > (later.token.stamp - entry.stamp) / 1e6, "older than the second one's age at its birth"


def test_what_waits_for_long_is_an_alarm(run, author, monkeypatch):
    monkeypatch.setattr("socialapp.ops.management.commands.backlog.LONG", 0)
    submit(CreatePost("waits"), actor_id=author, resource_id=new_id(PARTITION))
    with pytest.raises(CommandError, match="partition 5"):
        run("backlog")


def test_a_log_that_is_nearly_full_is_an_alarm(run):
    client = valkey.command_log()
    assert " MiB of 512 MiB." in run("backlog")
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] / 0.9))
    try:
        with pytest.raises(CommandError, match="nearly full"):
            run("backlog")
    finally:
        client.config_set("maxmemory", "512mb")


@pytest.mark.parametrize("body", [b"\xff not JSON", b"[]", b"{}", b'{"id": 5, "type": "LikePost", "version": 1}', b"7"])
def test_an_entry_that_is_no_command_stops_nobody_and_is_kept(run, author, body):
    before = submit(CreatePost("before"), actor_id=author, resource_id=new_id(PARTITION))
    valkey.command_log().xadd(keys.stream(PARTITION), {"c": body, "s": before.token.stamp + 1})
    submit(CreatePost("after"), actor_id=author, resource_id=new_id(PARTITION))
    apply.drain(PARTITION)
    assert log.backlog(PARTITION) == 0
    ((_, kept),) = valkey.command_log().xrange(keys.unreadable(PARTITION))
    assert kept[b"c"] == body
    with pytest.raises(CommandError, match="partition 5"):
        run("backlog")
