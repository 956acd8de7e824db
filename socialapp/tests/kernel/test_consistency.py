"""Tokens: what a client has written, it reads."""

import time
from uuid import UUID

import pytest
from django.core import signing
from django.db import connections
from django.http import HttpResponse
from django.test import RequestFactory

from posts import fragments
from posts.commands import CreatePost, EditPost, LikePost
from socialapp.accounts.fragments import users
from socialapp.accounts.models import User
from socialapp.cqrs import apply, consistency, consumers, events, outcomes, reader, valkey
from socialapp.cqrs.consistency import COOKIE, LOSS_AGE, MOST_PENDING, BadToken, Token
from socialapp.cqrs.http.freshness import freshness, remember, settled
from socialapp.cqrs.ids import new_id, partition_of
from socialapp.cqrs.models import Event, ParkedEvent
from socialapp.cqrs.problems import Unavailable
from socialapp.cqrs.submit import submit
from socialapp.tests.valkeys import wait_until


@pytest.fixture(autouse=True)
def log_answers():
    """What a test before did to the log is forgotten."""
    outcomes._breaker.close()


def test_a_token_survives_the_wire():
    token = Token(3, 123456, 1_800_000_000_000_000, (new_id(7), new_id(15)), {1: 99, 2: 5})
    assert Token.decode(token.encode()) == token


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: "x" + t, lambda t: "", lambda t: "é" + t])
def test_a_token_that_was_tampered_with_is_refused(change):
    with pytest.raises(BadToken):
        Token.decode(change(Token(1, 2, 3).encode()))


def test_merging_keeps_what_both_have_seen():
    first, second, both = new_id(1), new_id(1), new_id(2)
    merged = Token(1, 100, 7, (first, both)).merged(Token(1, 90, 9, (both, second)))
    assert (merged.position, merged.stamp) == (100, 9)
    assert merged.pending == (first, both, second), "neither can be told to be the later one of their partition"


def test_positions_of_different_timelines_do_not_compare():
    both = Token(2, 10, older={1: 999})
    assert Token(2, 10).merged(Token(1, 999)) == both
    assert Token(1, 999).merged(Token(2, 10)) == both
    assert both.merged(Token(1, 1000)) == Token(2, 10, older={1: 1000})
    assert both.merged(Token()) == both
    assert both.since(2) == Token(2, 10)
    assert both.since(3) == Token(3)


def test_a_client_that_only_writes_has_a_token_that_fits_into_a_cookie():
    token, written = Token(9, 2**63 - 1, 2**53 - 1, older=dict.fromkeys(range(1, 9), 2**63 - 1)), []
    for number in range(200):
        written.append(new_id(number % 16))
        token = Token.decode(token.awaiting(written[-1], number).encode())
    assert token.pending == tuple(written[-MOST_PENDING:])
    assert token.lost_at, "or a read would be called strong although it may lack one of the others"
    assert len(token.encode()) < 4096 - len(COOKIE) - 100


def awaiting(command_ids: list) -> Token:
    token = Token()
    for command_id in command_ids:
        token = token.awaiting(command_id, 1)
    return token


def promised(token: Token) -> tuple[str, str]:
    """(what a read with the token promises, the token that it answers), as a client sends and receives them."""
    request = RequestFactory().get("/", headers={"Consistency-Token": token.encode(), "Prefer": "wait=0"})
    answer = freshness(lambda _: HttpResponse())(request)
    return answer["Consistency"], answer["Consistency-Token"]


def handed_out(token: Token) -> Token:
    """The token as a write's answer carries it."""
    answer = HttpResponse()
    remember(RequestFactory().get("/"), answer, token)
    return Token.decode(answer["Consistency-Token"])


def test_a_command_that_finds_no_room_in_the_token_is_not_said_to_be_seen(author, drain_all):
    """The first command stays in another partition's queue; as many later ones are applied and confirmed."""
    waits = submit(LikePost(), actor_id=author, resource_id=new_id(3))
    later = [submit(LikePost(), actor_id=author, resource_id=new_id(5)) for _ in range(MOST_PENDING)]
    apply.drain(5)
    token = Token.decode(awaiting([one.command_id for one in [waits, *later]]).encode())
    assert waits.command_id not in token.pending
    consistency_told, after = promised(token)
    assert consistency_told == "eventual"
    assert promised(Token.decode(after))[0] == "eventual", "nor by the next read"


def test_commands_of_one_partition_do_not_stand_for_each_other(author, monkeypatch):
    """The first one's invalidation failed, all later ones were confirmed."""
    post = submit(CreatePost("host"), actor_id=author).resource_id
    partition = partition_of(post)
    with monkeypatch.context() as patched:
        patched.setattr(valkey, "read_cache", lambda: (_ for _ in ()).throw(valkey.RedisError("down")))
        apply.drain(partition)
        first = submit(EditPost("unconfirmed"), actor_id=author, resource_id=post)
        apply.drain(partition)
    reader.breaker.close()
    later = [submit(LikePost(), actor_id=author, resource_id=post) for _ in range(MOST_PENDING)]
    apply.drain(partition)
    full = awaiting([one.command_id for one in [first, *later]])
    assert promised(full)[0] == "eventual", "the token cannot name the first one"
    token = handed_out(full)
    assert token.pending == (first.command_id,) and not token.lost_at, "what is confirmed makes room"
    assert promised(token)[0] == "strong", "the cache is not asked"


def test_a_write_removes_what_is_confirmed_from_a_full_token(author, drain_all):
    written = [submit(LikePost(), actor_id=author, resource_id=new_id()) for _ in range(MOST_PENDING + 1)]
    drain_all()
    token = handed_out(awaiting([one.command_id for one in written]))
    assert token.pending == () and token.position and not token.lost_at


def test_a_full_token_is_handed_out_without_the_log(monkeypatch):
    def unreachable(*_):
        raise valkey.RedisError("down")

    monkeypatch.setattr(outcomes.log, "statuses", unreachable)
    token = handed_out(awaiting([new_id() for _ in range(MOST_PENDING + 1)]))
    assert len(token.pending) == MOST_PENDING and token.lost_at


def test_a_token_forgets_losses_when_a_browser_would_have_forgotten_it():
    recent, old = (Token(1, 2, 3, lost_at=int(time.time()) - LOSS_AGE + ago) for ago in (60, -60))
    assert Token.decode(recent.encode()) == recent
    assert recent.merged(Token(1, 1)).lost_at == recent.lost_at
    assert recent.without_old_losses() == recent
    assert old.without_old_losses() == Token(1, 2, 3)


def test_a_write_does_not_make_an_earlier_one_forgotten():
    earlier, later = new_id(3), new_id(3)
    token = Token().awaiting(earlier, 1).awaiting(later, 2)
    assert token.pending == (earlier, later), "the later one may be out of the cache while the earlier is not"
    assert token.without([later]).pending == (earlier,)


def test_a_token_outlives_the_key_that_signed_it(settings):
    token = Token(1, 2, 3)
    old = token.encode()
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another key"
    reloaded = signing.Signer(salt=consistency._signer.salt)
    assert reloaded.unsign(old) and reloaded.sign("x") != consistency._signer.sign("x")


def test_a_pending_command_is_waited_for_and_then_is_a_position(author, drain_all):
    accepted = submit(CreatePost("mine"), actor_id=author)
    token, kept = settled(accepted.token, 0.01)
    assert not kept and token.pending
    drain_all()
    token, kept = settled(accepted.token, 0.01)
    assert kept and not token.pending and token.position > 0


def test_while_an_invalidation_is_not_confirmed_the_command_stays_pending(author, monkeypatch):
    accepted = submit(CreatePost("unconfirmed"), actor_id=author)

    def unreachable():
        raise valkey.RedisError("down")

    with monkeypatch.context() as patched:
        patched.setattr(valkey, "read_cache", unreachable)
        apply.drain(partition_of(accepted.command_id))
    token, kept = settled(accepted.token, 0.01)
    assert kept, "the effect is known"
    assert token.pending, "but the cache may hold what was before"


def test_the_cache_consumer_confirms_it_later(author, monkeypatch):
    test_while_an_invalidation_is_not_confirmed_the_command_stays_pending(author, monkeypatch)
    accepted = submit(CreatePost("confirmed later"), actor_id=author)
    with monkeypatch.context() as patched:
        patched.setattr(valkey, "read_cache", lambda: (_ for _ in ()).throw(valkey.RedisError("down")))
        apply.drain(partition_of(accepted.command_id))
    while consumers.run("cache"):
        pass
    token, kept = settled(accepted.token, 0.01)
    assert kept and not token.pending


def test_the_cache_consumer_leaves_alone_what_was_confirmed(author, drain_all):
    post = submit(CreatePost("confirmed"), actor_id=author).resource_id
    drain_all()
    key, _ = fragments.posts.slots([str(post)])[0]
    fragments.posts.get(post)
    assert valkey.read_cache().exists(key)
    while consumers.run("cache"):
        pass
    assert valkey.read_cache().exists(key), "or every entry would be loaded twice"


def test_what_a_consumer_makes_of_a_confirmed_command_is_invalidated(author, drain_all):
    username = User.objects.get(pk=author).username
    consume("cache")
    submit(CreatePost("counted"), actor_id=author)
    drain_all()
    assert b'"post_count":0' in users.get(username).body
    assert valkey.read_cache().exists(users.key(username))
    consume("post-counts")
    consume("cache")
    assert b'"post_count":1' in users.get(username).body


def consume(name: str) -> None:
    """All events, once none of them is held back by a transaction of whatever else uses the same server."""
    wait_until(lambda: not Event.objects.filter(xid__gte=events.horizon()).exists())
    while consumers.run(name):
        pass


def test_an_outcome_outlives_the_logs_memory(author, drain_all):
    outcome = forgotten(CreatePost("old"), author, drain_all)
    assert outcome.status == "applied" and outcome.position > 0
    assert UUID(outcome.resource_id)


def forgotten(command, author, drain_all, **options) -> outcomes.Outcome:
    """What is known of a command that was applied and that the log has forgotten."""
    accepted = submit(command, actor_id=author, **options)
    drain_all()
    valkey.command_log().flushdb()
    return outcomes.lookup([accepted.command_id])[accepted.command_id]


def test_a_forgotten_command_is_confirmed_when_the_cache_consumer_has_passed_it(author, drain_all):
    accepted = submit(CreatePost("old"), actor_id=author)
    drain_all()
    valkey.command_log().flushdb()
    assert not outcomes.lookup([accepted.command_id])[accepted.command_id].confirmed, "nobody can tell yet"
    while consumers.run("cache"):
        pass
    assert outcomes.lookup([accepted.command_id])[accepted.command_id].confirmed
    token, kept = settled(accepted.token, 0.01)
    assert kept and not token.pending, "its reads use the cache again"


def test_a_forgotten_command_whose_event_was_parked_is_not_confirmed(author, drain_all):
    accepted = submit(CreatePost("parked"), actor_id=author)
    drain_all()
    while consumers.run("cache"):
        pass
    valkey.command_log().flushdb()
    event = Event.objects.filter(command_id=accepted.command_id).first()
    ParkedEvent.objects.create(consumer="cache", event_position=event.position, error="cannot be digested")
    assert not outcomes.lookup([accepted.command_id])[accepted.command_id].confirmed


def test_a_forgotten_command_without_events_is_confirmed(author, drain_all):
    outcome = forgotten(EditPost("nothing"), author, drain_all, resource_id=new_id())
    assert outcome.status == "rejected" and outcome.confirmed


def test_what_nobody_can_look_up_is_not_said_to_be_unknown(author, monkeypatch):
    """Else a client would be told 404 about a command that was accepted."""

    def unreachable(*_):
        raise valkey.RedisError("down")

    accepted = submit(CreatePost("where?"), actor_id=author)
    monkeypatch.setattr(outcomes.log, "statuses", unreachable)
    monkeypatch.setitem(connections.databases["default"], "HOST", "/nowhere")
    connections["default"].close()
    try:
        with pytest.raises(Unavailable):
            outcomes.lookup([accepted.command_id])
        assert outcomes.wait([accepted.command_id], seconds=0.01) == {}
        token, kept = settled(accepted.token, 0.01)
        assert token.pending and not kept, "a read goes on, and is told so"
    finally:
        connections["default"].close()


def test_a_frozen_log_is_not_asked_by_every_reader(author, monkeypatch):
    asked = []

    def frozen(command_ids):
        asked.append(command_ids)
        raise valkey.RedisError("timed out")

    accepted = submit(CreatePost("slow"), actor_id=author)
    monkeypatch.setattr(outcomes.log, "statuses", frozen)
    for _ in range(5):
        settled(accepted.token, 0)
    assert len(asked) == 1
    outcomes._breaker.close()


def test_no_more_than_so_many_wait(author, settings):
    accepted = submit(CreatePost("nobody applies this"), actor_id=author)
    taken = 0
    while outcomes._waiters.acquire(blocking=False):
        taken += 1
    try:
        started = time.monotonic()
        assert outcomes.wait([accepted.command_id], seconds=5)[accepted.command_id].status == "accepted"
        assert time.monotonic() - started < 1
    finally:
        outcomes._waiters.release(taken)
    assert taken == settings.MOST_WAITERS
