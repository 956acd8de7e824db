"""One command, one transaction, at once: what happens at its commit and after it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest
from django.db import IntegrityError, OperationalError, connections
from django.http import HttpResponse
from django.test import RequestFactory

from socialapp.accounts.commands import EditProfile, SetAccess
from socialapp.accounts.fragments import users
from socialapp.accounts.models import User
from socialapp.cqrs import cache, consumers, effects, events, execute, keys, servers, settle, valkey
from socialapp.cqrs.http.freshness import freshness
from socialapp.cqrs.models import CommandResult
from socialapp.cqrs.problems import Unavailable
from socialapp.cqrs.together import Together
from socialapp.tests.kernel.test_infrastructure_errors import RAISE

# And waits until it has ended; milliseconds.
TERMINATE = "SELECT pg_terminate_backend(%s, 5000)"

pytestmark = pytest.mark.usefixtures("clean_stores")


def results() -> int:
    return CommandResult.objects.count()


def make_staff(author, **options):
    return execute.execute(SetAccess(is_active=True, is_staff=True), actor_id=None, resource_id=author, **options)


def test_what_cannot_be_told_is_not_done(author, monkeypatch):
    """The events are sent with the commit; it fails when they do."""
    row = events._row
    monkeypatch.setattr(events, "_row", lambda recorded: row(recorded) | {"payload": None})
    before = results()
    with pytest.raises(IntegrityError):
        make_staff(author)
    assert not User.objects.get(pk=author).is_staff and results() == before
    monkeypatch.undo()
    make_staff(author)
    assert User.objects.get(pk=author).is_staff and results() == before + 1


@pytest.mark.parametrize(("broken", "told"), [("perform", "nothing was changed"), ("append", "lost at the commit")])
def test_a_lost_connection_is_told_with_what_is_known(author, monkeypatch, broken, told):
    module = effects if broken == "perform" else events
    function = getattr(module, broken)

    def after_the_connection_was_cut(*arguments):
        pid = connections["default"].connection.info.backend_pid
        with closing(connections.create_connection("default")) as other:
            other.cursor().execute(TERMINATE, [pid])
        return function(*arguments)

    monkeypatch.setattr(module, broken, after_the_connection_was_cut)
    with pytest.raises(Unavailable, match=told):
        make_staff(author)
    monkeypatch.undo()
    assert not User.objects.get(pk=author).is_staff
    make_staff(author)


def test_what_the_primary_refuses_at_the_commit_is_known_not_to_have_happened(author):
    with closing(connections.create_connection("default")) as other:
        other.set_autocommit(False)
        other.cursor().execute("LOCK TABLE cqrs_event IN ACCESS EXCLUSIVE MODE")
        connections["default"].cursor().execute("SET lock_timeout = 50")
        with pytest.raises(Unavailable, match="just now; nothing was changed"):
            make_staff(author)
    make_staff(author)


def test_a_primary_that_became_a_replica_is_left(author, monkeypatch):
    """Its connection works well, and would be kept."""

    def refused(*_):
        connections["default"].cursor().execute(RAISE.format("25006"))

    monkeypatch.setattr(effects, "perform", refused)
    with pytest.raises(Unavailable, match="nothing was changed"):
        make_staff(author)
    assert connections["default"].connection is None


@pytest.fixture
def shared(monkeypatch) -> list[list[settle.Committed]]:
    """The runs in which transactions were settled together."""
    runs = []

    def run(several: list[settle.Committed]) -> bool:
        runs.append(list(several))
        return settle._drop_all(several)

    monkeypatch.setattr(settle, "_dropped_together", Together(run, after=settle._wake_for))
    return runs


def test_those_that_commit_at_once_are_settled_at_once(author, shared, monkeypatch):
    many = 12
    perform, committed = execute._perform, Barrier(many)

    def performed(*arguments):
        found = perform(*arguments)
        committed.wait(10)
        return found

    def edit(number: int):
        try:
            return execute.execute(EditProfile(name=f"Name {number}"), actor_id=author, resource_id=author)
        finally:
            connections.close_all()

    monkeypatch.setattr(execute, "_perform", performed)
    with ThreadPoolExecutor(many) as threads:
        executed = list(threads.map(edit, range(many)))
    each = [one for run in shared for one in run]
    assert len(each) == many and len(shared) < many
    assert {one.token.position for one in executed} == {one.position for one in each}, "its own, whoever settled it"
    last = max(one.position for one in each)
    stale = set().union(*(one.keys for one in each))
    assert stale and all(int(valkey.read_cache().get(keys.floor(key))) >= last for key in stale)


def test_who_has_much_to_drop_keeps_no_other_waiting(author, shared, monkeypatch):
    make_staff(author)
    assert len(shared) == 1
    monkeypatch.setattr(settle, "MOST_SHARED", 0)
    make_staff(author)
    assert len(shared) == 1


@pytest.mark.parametrize("most_shared", [0, 100])
def test_consumers_are_woken_of_much_and_of_little(author, shared, monkeypatch, most_shared):
    woken = []
    monkeypatch.setattr(settle, "MOST_SHARED", most_shared)
    monkeypatch.setattr(settle.waking, "wake_consumers", woken.append)
    make_staff(author)
    assert woken == [{"user"}]


def test_positions_of_two_histories_are_not_compared(author, monkeypatch):
    """In a failover some connections still lead to the old primary."""
    asked = {}
    monkeypatch.setattr(cache, "invalidate", lambda stale, place: asked.update({place: stale}) or set())
    old, new = settle.Committed({"a"}, {"user"}, 1, 900), settle.Committed({"b"}, {"user"}, 2, 500)
    assert settle._drop_all([old, new, settle.Committed({"c"}, {"user"}, 2, 600)])
    assert asked == {(1, 900): {"a"}, (2, 600): {"b", "c"}}


def test_an_invalidation_that_the_primary_cannot_finish_is_left_to_the_consumer(author, monkeypatch):
    """The command is committed: to answer that it failed would be wrong."""

    def lost(*_, **__):
        raise OperationalError("gone")

    monkeypatch.setattr(cache, "invalidate", lost)
    executed = make_staff(author)
    assert executed.token.pending and User.objects.get(pk=author).is_staff


def injected(*_, **__):
    raise RuntimeError("a fault that nobody expects")


AFTER_THE_COMMIT = {
    "stale keys": (events, "stale_keys", injected),
    "the kinds of aggregates": (events, "type_of", injected),
    "the invalidation": (cache, "invalidate", injected),
    "the shared run": (settle, "_dropped_together", injected),
    "the question for the position": (servers, "PLACE", "SELECT 1 / 0"),
}


@pytest.mark.parametrize("fault", AFTER_THE_COMMIT)
@pytest.mark.parametrize("way", ["one", "batch"])
def test_a_fault_after_the_commit_makes_the_answer_unconfirmed(author, monkeypatch, fault, way):
    """The effect is committed, so an error would be wrong. The consumer `cache` confirms it."""
    with monkeypatch.context() as patched:
        # `type_of` is also part of recording, before the commit.
        committed = settle.settle_committed
        module, name, broken = AFTER_THE_COMMIT[fault]

        def settle_with_fault(*arguments):
            patched.setattr(module, name, broken)
            return committed(*arguments)

        if module is servers:
            patched.setattr(module, name, broken)
        else:
            patched.setattr(settle, "settle_committed", settle_with_fault)
        token = staff_by(way, author)
    assert User.objects.get(pk=author).is_staff
    assert len(token.pending) == 1
    while consumers.run("cache"):
        pass
    shown = freshness(lambda _: HttpResponse())(
        RequestFactory().get("/", headers={"Consistency-Token": token.encode(), "Prefer": "wait=0"})
    )
    assert shown["Consistency"] == "strong"


def staff_by(way: str, author):
    if way == "one":
        return make_staff(author).token
    problems, token = execute.execute_batch({author: SetAccess(is_active=True, is_staff=True)}, actor_id=None)
    assert not problems
    return token


def test_a_failing_wake_up_leaves_the_answer_confirmed(author, monkeypatch):
    monkeypatch.setattr(settle.waking, "wake_consumers", injected)
    assert not make_staff(author).token.pending


KEYED = {"idempotency_key": "once", "fingerprint": "f"}


def edited(author, **options):
    return execute.execute(EditProfile(name="After"), actor_id=author, resource_id=author, **KEYED | options)


def read_with(token, username) -> tuple[str, bytes]:
    """(what the read promised, its body), as the read pool does it."""
    request = RequestFactory().get("/", headers={"Consistency-Token": token.encode(), "Prefer": "wait=0"})
    shown = freshness(lambda _: HttpResponse(users.get(username).body))(request)
    return shown["Consistency"], shown.content


@pytest.fixture
def cached_name(author) -> str:
    """The username of `author`, whose entry the cache holds."""
    username = User.objects.get(pk=author).username
    assert b"After" not in users.get(username).body
    assert valkey.read_cache().exists(users.key(username))
    return username


class Died(BaseException):
    """The process ends: nothing after this line is executed."""


def died(*_):
    raise Died


def test_a_repeat_settles_what_the_first_left_when_it_died(author, cached_name, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(Died):
        patched.setattr(execute.settle, "settle_committed", died)
        edited(author)
    repeated = edited(author)
    assert repeated.replayed
    consistency, body = read_with(repeated.token, cached_name)
    assert b"After" in body, consistency


@pytest.mark.parametrize("broken", [(cache, "invalidate"), (events, "stale_keys"), (settle, "settle")])
def test_a_repeat_that_cannot_settle_awaits_the_first(author, cached_name, monkeypatch, broken):
    with monkeypatch.context() as patched:
        patched.setattr(settle, "settle_committed", lambda *_: False)
        first = edited(author)
        patched.setattr(*broken, injected if broken[1] != "invalidate" else unreachable)
        repeated = edited(author)
    assert repeated.replayed and repeated.token.pending == (first.command_id,)
    consistency, body = read_with(repeated.token, cached_name)
    assert b"After" in body, consistency
    while consumers.run("cache"):
        pass
    assert read_with(repeated.token, cached_name)[0] == "strong"


def unreachable(*_, **__):
    raise valkey.RedisError("down")


def test_a_repeat_does_not_confirm_events_that_this_process_does_not_know(author, monkeypatch):
    first = edited(author)
    monkeypatch.setattr(events, "is_known", lambda *_: False)
    assert edited(author).token.pending == (first.command_id,)
