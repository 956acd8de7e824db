"""An error of the servers is nobody's fault: nothing is blamed or lost, and the next drain applies the whole batch."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import Error, connection

from posts.commands import CreateComment, CreatePost
from posts.handlers import comments
from posts.models import Comment, Post
from socialapp.cqrs import apply, keys, log, outcomes, suspects, valkey
from socialapp.cqrs.failures import is_infrastructure
from socialapp.cqrs.ids import partition_of
from socialapp.cqrs.models import CommandResult, DeadLetter
from socialapp.cqrs.submit import submit
from socialapp.tests.fixtures import DATABASE
from socialapp.tests.topology.conftest import as_superuser

RAISE = "DO $$ BEGIN RAISE EXCEPTION 'staged' USING ERRCODE = '{}'; END $$"

REAL = {
    "the connection is lost": "SELECT pg_terminate_backend(pg_backend_pid())",
    "a statement takes too long": "SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(10)",
    "the transaction takes too long": "SELECT pg_sleep(10)",
    "a row stays locked": "SET LOCAL lock_timeout = '20ms'; SELECT pg_advisory_xact_lock(1, 1)",
}
STAGED = {
    "the disk is full": RAISE.format("53100"),
    "memory is short": RAISE.format("53200"),
    "the server is read-only after a failover": RAISE.format("25006"),
    "two transactions cannot be serialized": RAISE.format("40001"),
    "two transactions block each other": RAISE.format("40P01"),
    "the disk fails": RAISE.format("58030"),
}
FAULTS = REAL | STAGED


@pytest.fixture
def post(author, drain_all):
    accepted = submit(CreatePost("host"), actor_id=author)
    drain_all()
    return accepted.resource_id


@pytest.fixture
def other_session(servers):
    """A connection of somebody else."""
    parameters = connection.get_connection_params() | {"cursor_factory": psycopg.Cursor, "context": None}
    with psycopg.connect(**parameters) as session:
        yield session


@pytest.fixture
def fail_once(monkeypatch):
    """Let a handler meet the effect of a statement in its transaction, the first time that it runs."""

    def arrange(statement: str) -> None:
        write_counts = comments.write_counts

        def write(posts):
            monkeypatch.setattr(comments, "write_counts", write_counts)
            with connection.cursor() as cursor:
                cursor.execute(statement)

        monkeypatch.setattr(comments, "write_counts", write)

    return arrange


@pytest.mark.parametrize("fault", FAULTS)
def test_an_error_of_the_servers_leaves_the_whole_batch_for_the_next_try(post, author, other_session, fail_once, fault):
    partition = partition_of(post)
    other_session.execute("SELECT pg_advisory_lock(1, 1)")
    accepted = [submit(CreateComment(str(post), f"comment {n}"), actor_id=author) for n in range(3)]
    fail_once(FAULTS[fault])
    with pytest.MonkeyPatch.context() as patched, pytest.raises(Error) as raised:
        patched.setattr(apply, "LONGEST_TRANSACTION", 500)
        apply.drain(partition)
    assert is_infrastructure(raised.value)
    ids = [one.command_id for one in accepted]
    assert not CommandResult.objects.filter(pk__in=ids).exists()
    assert log.backlog(partition) == 3

    apply.drain(partition)

    assert {outcome.status for outcome in outcomes.lookup(ids).values()} == {"applied"}
    assert Comment.objects.filter(post=post).count() == Post.objects.get(pk=post).comment_count == 3
    assert not DeadLetter.objects.filter(pk__in=ids).exists()


def test_a_drain_that_celery_ends_blames_nobody(post, author, monkeypatch):
    accepted = submit(CreateComment(str(post), "comment"), actor_id=author)

    def write(posts):
        raise SoftTimeLimitExceeded

    with monkeypatch.context() as patched, pytest.raises(SoftTimeLimitExceeded):
        patched.setattr(comments, "write_counts", write)
        apply.drain(partition_of(post))
    apply.drain(partition_of(post))
    assert outcomes.lookup([accepted.command_id])[accepted.command_id].status == "applied"


def test_a_deadlock_does_so_too(post, author, servers, monkeypatch):
    """A real one, which Postgres ends by cancelling the drain: the other session would look for it much later."""
    partition = partition_of(post)
    accepted = submit(CreateComment(str(post), "comment"), actor_id=author)
    with as_superuser(servers, "primary", DATABASE) as other, ThreadPoolExecutor() as pool:
        other.execute("SET deadlock_timeout = '60s'")
        other.execute("BEGIN")
        other.execute("SELECT pg_advisory_xact_lock(1, 1)")

        def write(posts):
            pool.submit(other.execute, "UPDATE posts_post SET text = text WHERE id = %s", [post])
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(1, 1)")

        with monkeypatch.context() as patched, pytest.raises(Error) as raised:
            patched.setattr(comments, "write_counts", write)
            apply.drain(partition)
        other.rollback()
    assert raised.value.__cause__.sqlstate == "40P01" and is_infrastructure(raised.value)
    apply.drain(partition)
    assert outcomes.lookup([accepted.command_id])[accepted.command_id].status == "applied"


def test_a_log_that_is_full_is_no_fault_of_a_command(post, author):
    accepted = submit(CreateComment(str(post), "comment"), actor_id=author)
    client = valkey.command_log()
    full = client.config_get("maxmemory")["maxmemory"]
    client.config_set("maxmemory", 1)
    try:
        apply.drain(partition_of(post))
    finally:
        client.config_set("maxmemory", full)
    assert outcomes.lookup([accepted.command_id])[accepted.command_id].status == "applied"
    assert not DeadLetter.objects.filter(pk=accepted.command_id).exists()


def test_a_command_that_never_ends_is_found_like_one_that_kills_its_worker(post, author, monkeypatch):
    partition = partition_of(post)
    accepted = [submit(CreateComment(str(post), text), actor_id=author) for text in ("one", "endless", "two")]
    insert = comments._new_comment

    def new_comment(envelope, *of):
        if envelope.command.text == "endless":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(10)")
        return insert(envelope, *of)

    monkeypatch.setattr(apply, "LONGEST_TRANSACTION", 500)
    monkeypatch.setattr(comments, "_new_comment", new_comment)
    for _ in range(suspects.MOST_DEATHS_OF_A_BATCH + suspects.MOST_DEATHS_ALONE):
        with pytest.raises(Error):
            apply.drain(partition)
    apply.drain(partition)
    found = outcomes.lookup([one.command_id for one in accepted])
    assert [found[one.command_id].status for one in accepted] == ["applied", "failed", "applied"]
    assert not valkey.command_log().exists(keys.deaths(partition))
