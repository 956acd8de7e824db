"""Replicas that die, hang, lag or cancel a query: the read goes on elsewhere, and they come back by themselves."""

import time
from threading import Thread

import pytest
from django.db import OperationalError, connections
from django.http import HttpResponse
from rest_framework.test import APIRequestFactory, force_authenticate

from socialapp.accounts import queries
from socialapp.accounts.api.read import ReadMe
from socialapp.cqrs import heartbeat, routing, servers
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.http.freshness import freshness
from socialapp.cqrs.problems import NotFound, Unavailable
from socialapp.cqrs.routing import Requirement, requiring
from socialapp.identity.authentication import Bearer
from socialapp.tests.fixtures import DATABASE
from socialapp.tests.topology.conftest import as_superuser, wait_for, wait_until


@pytest.fixture
def dead_replica(reading, another_server):
    return another_server("replica2", "/nowhere")


def cut(stack, alias: str) -> None:
    """End the connection that this thread holds to a server, as a shut-down does."""
    node = {"default": "primary", "replica1": "replica"}[alias]
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    with as_superuser(stack, node) as superuser:
        superuser.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def one(alias: str) -> int:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone()[0]


def newest_position() -> Token:
    return Token(*routing.position("default"))


# ---- dead, and back ----


def test_a_dead_replica_is_asked_once_and_reads_go_to_the_others(dead_replica, monkeypatch):
    asked = []
    look = servers.look
    monkeypatch.setattr(servers, "look", lambda alias: asked.append(alias) or look(alias))
    chosen = {routing.choose().alias for _ in range(50)}
    assert chosen == {"replica1"}
    assert asked.count("replica2") == 1
    assert servers.ejected("replica2") == servers.UNREACHABLE


def test_all_replicas_gone_leaves_the_primary(dead_replica, monkeypatch):
    monkeypatch.setitem(connections.databases["replica1"], "HOST", "/nowhere")
    connections["replica1"].close()
    assert {routing.choose().alias for _ in range(5)} == {"default"}


def test_a_replica_that_came_back_is_used_again(reading, monkeypatch):
    monkeypatch.setattr(servers, "EJECTION", (0.01, 0.05))
    with monkeypatch.context() as patched:
        connections["replica1"].close()
        patched.setitem(connections.databases["replica1"], "HOST", "/nowhere")
        assert routing.choose().alias == "default"
    wait_for(lambda: routing.choose().alias == "replica1")


def test_no_request_waits_for_the_probe_of_a_dead_server(reading, monkeypatch):
    monkeypatch.setattr(servers, "EJECTION", (0.0, 0.0))
    servers.eject("replica1", servers.UNREACHABLE)
    look, probes = servers.look, []

    def slow(alias):
        if alias == "replica1":
            probes.append(alias)
            time.sleep(0.5)
        return look(alias)

    monkeypatch.setattr(servers, "look", slow)
    started = time.monotonic()
    assert {routing.choose().alias for _ in range(20)} == {"default"}
    assert time.monotonic() - started < 0.5
    assert probes == ["replica1"], "one at a time"
    wait_for(lambda: not servers.ejected("replica1"))


def test_processes_come_back_at_different_times(reading, monkeypatch):
    monkeypatch.setattr(servers, "EJECTION", (1.0, 3.0))
    times = set()
    for _ in range(10):
        servers.forget()
        servers.eject("replica1", servers.LAGGING)
        times.add(round(servers._breaker("replica1")._ask_again_at - time.monotonic(), 2))
    assert len(times) > 5 and min(times) > 0.9 and max(times) < 3.1


# ---- errors in the middle of a read ----


def test_a_read_whose_replica_is_shut_down_is_repeated_on_the_primary(servers_of_the_test, reading):
    def load(alias):
        if alias == "replica1":
            cut(servers_of_the_test, alias)
        return alias, one(alias)

    read = routing.read_with(load, place_after=True)
    assert read.result == ("default", 1) and read.place
    assert servers.ejected("replica1") == servers.UNREACHABLE


@pytest.fixture
def servers_of_the_test(servers):
    """The Stack; `servers` is a module here."""
    return servers


@pytest.fixture
def impatient_replica(servers_of_the_test):
    """A replica that lets no query hold up its replay for longer than a moment."""
    with as_superuser(servers_of_the_test, "replica") as replica:
        replica.execute("ALTER SYSTEM SET max_standby_streaming_delay = '20ms'")
        replica.execute("SELECT pg_reload_conf()")
        yield
        replica.execute("ALTER SYSTEM RESET max_standby_streaming_delay")
        replica.execute("SELECT pg_reload_conf()")


def test_a_query_that_conflicts_with_replay_is_repeated(servers_of_the_test, reading, impatient_replica):
    """The primary truncates a table that the replica is reading."""
    with as_superuser(servers_of_the_test, "primary", DATABASE) as primary:
        primary.execute("CREATE TABLE conflicting AS SELECT 7 AS number")
        primary.execute("GRANT SELECT ON conflicting TO PUBLIC")
        (position,) = primary.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        with as_superuser(servers_of_the_test, "replica", DATABASE) as replica:
            wait_until(replica, f"SELECT pg_last_wal_replay_lsn() >= '{position}'")
            truncate = Thread(target=truncate_while_it_is_read, args=(primary, replica))
            truncate.start()
            causes = []
            read = routing.read_with(lambda alias: slowly(alias, causes), place_after=True)
            truncate.join()
        primary.execute("DROP TABLE conflicting")
    assert causes == ["40001"], "the replica did cancel it"
    assert read.source.alias == "default"
    assert servers.ejected("replica1") == servers.CANCELLED


def slowly(alias: str, causes: list) -> int:
    seconds = 20 if alias == "replica1" else 0
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT count(*), pg_sleep(%s) FROM conflicting", [seconds])
            return cursor.fetchone()[0]
    except OperationalError as error:
        causes.append(error.__cause__.sqlstate)
        raise


def truncate_while_it_is_read(primary, replica) -> None:
    reading = "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%%FROM conflicting' AND state = 'active'"
    wait_until(replica, reading)
    primary.execute("TRUNCATE conflicting")


def test_a_statement_timeout_is_not_repeated_on_the_next_server(reading):
    """A query of death would otherwise go round."""
    asked = []

    def load(alias):
        asked.append(alias)
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', '20ms', false)")
            try:
                cursor.execute("SELECT pg_sleep(5)")
            finally:
                cursor.execute("RESET statement_timeout")

    with pytest.raises(OperationalError, match="statement timeout"):
        routing.read_with(load)
    assert asked == ["replica1"] and not servers.ejected("replica1")


def test_what_load_raises_for_reasons_of_its_own_is_raised(reading):
    def load(alias):
        raise NotFound(alias)

    with pytest.raises(NotFound, match="replica1"):
        routing.read_with(load)


def test_a_replica_that_is_lost_after_the_read_leaves_nothing_to_keep(servers_of_the_test, reading, monkeypatch):
    def load(alias):
        found = one(alias)
        cut(servers_of_the_test, alias)
        return found

    read = routing.read_with(load, place_after=True)
    assert read.result == 1 and read.place is None


def test_a_replica_that_cancels_the_only_possible_read_is_asked_again(servers_of_the_test, reading, dead_primary):
    cuts = []

    def load(alias):
        if not cuts:
            cuts.append(cut(servers_of_the_test, alias))
        return one(alias)

    with dead_primary():
        assert routing.read_with(load).source.alias == "replica1"


@pytest.mark.parametrize("victim", ["replica1", "default"])
def test_a_view_that_lost_its_server_is_run_again_on_another(servers_of_the_test, reading, author, monkeypatch, victim):
    """Plain ORM reads ask the router once per request; this one's server is shut down before its query."""
    wait_for(lambda: one_has(author, "replica1"))
    asked, get_own = [], queries.get_own

    def cut_first(user_id, using):
        asked.append(using)
        if using == victim and len(asked) == 1:
            cut(servers_of_the_test, using)
        return get_own(user_id, using)

    monkeypatch.setattr(queries, "get_own", cut_first)
    if victim == "default":
        servers.eject("replica1", servers.LAGGING)
    request = APIRequestFactory().get("/api/v1/me")
    force_authenticate(request, user=Bearer(author, "somebody", False))
    response = freshness(ReadMe.as_view())(request)
    assert response.status_code == 200, response.content
    assert asked == [victim, {"replica1": "default", "default": "replica1"}[victim]]


def one_has(user_id, alias: str) -> bool:
    return queries.get_own(user_id, alias) is not None


def test_a_request_without_a_token_does_not_leave_its_server_to_the_next_one(reading):
    """They may be on one kept connection, and so in one context."""
    chosen = []

    def view(request):
        chosen.append(routing.database_for_read())
        return HttpResponse()

    answer = freshness(view)
    answer(APIRequestFactory().get("/"))
    servers.eject("replica1", servers.UNREACHABLE)
    answer(APIRequestFactory().get("/"))
    assert chosen == ["replica1", "default"]


# ---- honest answers ----


def test_without_a_primary_a_lagging_replica_answers_and_it_is_told(reading, paused_replica, writing, dead_primary):
    with paused_replica():
        with writing():
            heartbeat.beat()
        token = newest_position()
        with dead_primary(), requiring(Requirement(token)) as _:
            assert routing.choose().alias == "replica1"
            assert not routing.requirement().kept


def test_a_view_says_so(reading, author, paused_replica, writing, dead_primary):
    request = APIRequestFactory().get("/", HTTP_CONSISTENCY_TOKEN=newest_position().encode())
    view = freshness(lambda _: routing.choose() and HttpResponse())
    assert view(request)["Consistency"] == "strong"
    with paused_replica():
        with writing():
            heartbeat.beat()
        request = APIRequestFactory().get("/", HTTP_CONSISTENCY_TOKEN=newest_position().encode())
        assert view(request)["Consistency"] == "strong", "the primary has it"
        with dead_primary():
            assert view(request)["Consistency"] == "eventual"


def test_the_best_replica_alive_answers(reading, clone, another_server, paused_replica, writing, dead_primary):
    another_server("replica2", clone.sockets)
    assert {routing.choose().alias for _ in range(50)} == {"replica1", "replica2"}, "both are used"
    with paused_replica():
        with writing():
            heartbeat.beat()
        token = newest_position()
        wait_for(lambda: routing.position("replica2")[1] >= token.position)
        beyond = Token(token.timeline, token.position + 1_000_000)
        with dead_primary(), requiring(Requirement(beyond)):
            assert {routing.choose().alias for _ in range(5)} == {"replica2"}


def test_nobody_alive_is_503(reading, dead_replica, dead_primary, monkeypatch):
    monkeypatch.setitem(connections.databases["replica1"], "HOST", "/nowhere")
    connections["replica1"].close()
    with dead_primary():
        with pytest.raises(Unavailable):
            routing.read_with(one)
        with pytest.raises(Unavailable):
            routing.choose()
    connections["replica1"].close()


def test_an_unchosen_replica_that_answers_is_better_than_503(reading, dead_primary):
    servers.eject("replica1", servers.CANCELLED)
    with dead_primary():
        assert routing.read_with(one).result == 1


def test_lost_memory_is_filled_by_nobody_but_a_primary(reading, dead_primary, monkeypatch):
    assert routing.read_with(one, only_primary=True, place_after=True).place
    with dead_primary():
        read = routing.read_with(one, only_primary=True, place_after=True)
    assert read.source.alias == "replica1" and read.place is None
    servers.forget()
    # The old primary has been made a replica, and DATABASE_URL still names it.
    connections["default"].close()
    monkeypatch.setitem(connections.databases["default"], "HOST", connections.databases["replica1"]["HOST"])
    read = routing.read_with(one, only_primary=True, place_after=True)
    assert read.place is None
    connections["default"].close()


def test_a_miss_costs_one_look(reading, django_assert_num_queries):
    token = newest_position()
    with requiring(Requirement(token)):
        wait_for(lambda: routing.choose().alias == "replica1")
        with django_assert_num_queries(2, connection=connections["replica1"]):
            routing.read_with(one)
