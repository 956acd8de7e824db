"""Scripts survive what happens to the server that has learnt them."""

import pytest

from posts.commands import CreatePost
from socialapp.cqrs import log, valkey
from socialapp.cqrs.ids import partition_of
from socialapp.cqrs.scripts import Script
from socialapp.cqrs.submit import submit

ECHO = Script("return {KEYS[1], ARGV[1]}")


@pytest.mark.usefixtures("clean_stores")
def test_a_server_that_has_forgotten_a_script_learns_it_again():
    for _ in range(2):
        valkey.command_log().script_flush()
        assert ECHO.run(["key"], 1) == [b"key", b"1"]


@pytest.mark.usefixtures("clean_stores")
def test_so_does_one_in_the_middle_of_a_pipeline():
    client = valkey.read_cache()
    client.script_flush()
    calls = [([f"key{n}"], [n]) for n in range(3)]
    for _ in range(2):
        assert ECHO.run_all(client, calls) == [[b"key0", b"0"], [b"key1", b"1"], [b"key2", b"2"]]
    assert ECHO.run_all(client, []) == []


@pytest.mark.usefixtures("clean_stores")
def test_a_script_that_fails_raises():
    with pytest.raises(valkey.UNREACHABLE, match="there is no such"):
        Script("return redis.error_reply('there is no such thing')").run_all(valkey.read_cache(), [(["key"], [])])


def test_a_connection_that_the_server_has_closed_costs_no_write(author):
    # given connections that were used, and then cut off as a restart does
    submit(CreatePost("before"), actor_id=author)
    valkey.command_log().client_kill_filter(_type="normal", skipme=True)
    # then the next write is in the log, not in the inbox
    accepted = submit(CreatePost("after"), actor_id=author)
    assert log.backlog(partition_of(accepted.command_id)) >= 1
    assert accepted.command_id in log.statuses([accepted.command_id])
