"""What readers make of the protocol: one load per miss, refreshing early, refilling, and peeking at hits."""

import threading
import time
from collections.abc import Sequence

import orjson
import pytest

from posts import fragments
from posts.commands import CreatePost, EditPost, LikePost
from posts.events import author_list_key, post_key
from socialapp.accounts.models import User
from socialapp.cqrs import cache, joined, keys, reader, stamps, valkey, wire
from socialapp.cqrs.cache import Lease, Slot
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.problems import NotFound, Problem
from socialapp.cqrs.servers import Place
from socialapp.cqrs.submit import submit

SLOT: Slot = (keys.entry("things", "entity", "1"), "")
PAGE: Slot = (keys.entry("things", "list", "1"), "page:1")
SECONDS = 60


class Database:
    """Counts the loads that it is asked for; `said` is what they find."""

    def __init__(self, said: bytes = b"body", pause: float = 0):
        self.said, self.pause, self.loads = said, pause, 0

    def __call__(self, slots: Sequence[Slot], using: str) -> dict[Slot, bytes]:
        self.loads += 1
        time.sleep(self.pause)
        return dict.fromkeys(slots, self.said)


def read(slot: Slot, database: Database) -> bytes:
    (content,) = reader.read([slot], database, SECONDS)
    return content


@pytest.mark.parametrize("slot", [SLOT, PAGE])
def test_a_crowd_that_misses_is_one_load(slot, monkeypatch):
    # Threads that start on a busy machine may take longer than readers should wait.
    monkeypatch.setattr(reader, "BUSY_WAIT", 10)
    database, found = Database(pause=0.02), []
    crowd = [threading.Thread(target=lambda: found.append(read(slot, database))) for _ in range(64)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert found == [b"body"] * 64
    assert database.loads == 1


def test_who_waited_for_a_neighbour_does_not_get_what_an_invalidation_has_overtaken():
    loading, invalidated, found = threading.Event(), threading.Event(), []

    def slow(slots, using):
        loading.set()
        assert invalidated.wait(5)
        return dict.fromkeys(slots, b"old")

    first = threading.Thread(target=lambda: found.append(read(SLOT, slow)))
    first.start()
    assert loading.wait(5)
    cache.invalidate([SLOT[0]], place=Place(1, 1))
    second = threading.Thread(target=lambda: found.append(read(SLOT, Database(b"new"))))
    second.start()
    invalidated.set()
    first.join()
    second.join()
    assert sorted(found) == [b"new", b"old"]
    assert read(SLOT, Database(b"not asked")) == b"new"


@pytest.mark.parametrize("slot", [SLOT, PAGE])
def test_an_entry_is_refreshed_before_it_expires_by_one_reader(slot, monkeypatch):
    read(slot, Database(b"old"))
    monkeypatch.setattr(reader, "is_due", lambda entry: True)
    monkeypatch.setattr(reader, "horizon", lambda: b"9" * 13)
    valkey.read_cache().pexpire(slot[0], 5_000)
    database, found = Database(b"new", pause=0.02), []
    crowd = [threading.Thread(target=lambda: found.append(read(slot, database))) for _ in range(8)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert database.loads < 8 and set(found) == {b"old", b"new"}
    assert stamps.content_of(wire.get([slot])[0]) == b"new"
    assert valkey.read_cache().pttl(slot[0]) > 50_000, "it lives for a whole lifetime again"


def test_a_refresh_that_an_invalidation_overtakes_is_refused():
    read(SLOT, Database(b"old"))
    (lease,) = cache.lookup_many([SLOT], early=True)
    assert isinstance(lease, Lease)
    assert wire.get([SLOT])[0] is not None, "others are served the old one meanwhile"
    cache.invalidate([SLOT[0]], place=Place(1, 1))
    assert cache.fill(lease, b"stale", place=Place(1, 2), ttl=SECONDS) is False
    assert wire.get([SLOT]) == [None]


def test_a_refresh_that_fails_leaves_the_old_entry(monkeypatch):
    read(SLOT, Database(b"old"))
    monkeypatch.setattr(reader, "is_due", lambda entry: True)
    monkeypatch.setattr(reader, "horizon", lambda: b"9" * 13)

    def down(slots, using):
        raise reader.routing.Unavailable("no database")

    assert read(SLOT, down) == b"old"


def entry(expires_in: float, cost: float) -> bytes:
    return b"%013d %05d body" % ((time.time() + expires_in) * 1000, cost * 1000)


def test_the_dearer_and_the_older_the_likelier_a_refresh():
    def share(expires_in, cost):
        return sum(stamps.is_due(entry(expires_in, cost)) for _ in range(2000)) / 2000

    assert share(expires_in=60, cost=0.01) == 0
    assert not stamps.may_be_due(entry(expires_in=60, cost=0.01))
    # e^-1 of the draws go beyond the cost itself.
    assert 0.3 < share(expires_in=1, cost=1) < 0.44
    assert share(expires_in=0.5, cost=1) > share(expires_in=2, cost=1) > 0


def test_an_entry_that_a_clock_ahead_takes_for_long_expired_is_served():
    assert not stamps.is_due(entry(expires_in=-5, cost=1))
    assert not stamps.may_be_due(entry(expires_in=-5, cost=1))


def test_an_entry_larger_than_the_cap_is_served_and_not_kept():
    large = b"x" * (reader.LARGEST + 1)
    assert read(SLOT, Database(large)) == large
    assert wire.get([SLOT]) == [None]


def test_what_was_in_use_is_put_back_by_the_worker(author, drain_all, django_assert_num_queries):
    cold, hot = (submit(CreatePost(text), actor_id=author).resource_id for text in ("cold", "hot"))
    drain_all()
    fragments.posts.get(hot)
    for post in (cold, hot):
        submit(LikePost(), actor_id=author, resource_id=post)
    drain_all()
    assert wire.get([(post_key(cold), "")]) == [None]
    with django_assert_num_queries(0):
        assert b'"like_count":1' in fragments.posts.get(hot).body


def test_a_list_of_what_does_not_exist_is_remembered_until_it_does(author, drain_all, django_assert_num_queries):
    nobody = new_id()
    for queries in (3, 0):
        with django_assert_num_queries(queries), pytest.raises(NotFound):
            fragments.comments_of_post.get(nobody, limit=20, cursor=None)
    submit(CreatePost("now"), actor_id=author, resource_id=nobody)
    drain_all()
    assert fragments.comments_of_post.get(nobody, limit=20, cursor=None).identifiers == []


def test_a_cursor_of_another_list_is_refused_before_it_takes_a_lease():
    with pytest.raises(Problem):
        fragments.comments_of_post.get("x", limit=20, cursor="MTIz")
    assert valkey.read_cache().dbsize() == 0


def peek(username: str):
    return joined.peek(fragments.posts_by_author, fragments.posts, username, limit=20, cursor=None)


def test_a_list_and_its_entities_come_in_one_round_trip_once_it_is_known(author, drain_all, monkeypatch):
    username = name_of(author)
    post = submit(CreatePost("first"), actor_id=author).resource_id
    drain_all()
    assert peek(username) is None, "not in the cache"
    page = fragments.posts_by_author.get(username, limit=20, cursor=None)
    fragments.posts.get_existing(page.identifiers)
    assert texts(peek(username)) == ["first"]
    asked, real = [], wire.get
    monkeypatch.setattr(wire, "get", lambda slots: asked.append(slots) or real(slots))
    assert texts(peek(username)) == ["first"]
    assert len(asked) == 1 and len(asked[0]) == 2
    submit(EditPost("edited"), actor_id=author, resource_id=post)
    submit(CreatePost("second"), actor_id=author)
    drain_all()
    assert peek(username) is None, "the list was dropped"
    page = fragments.posts_by_author.get(username, limit=20, cursor=None)
    fragments.posts.get_existing(page.identifiers)
    assert texts(peek(username)) == ["second", "edited"], "of a guess that is wrong nothing is shown"


def test_a_list_is_peeked_at_only_if_every_entity_is_there(author, drain_all):
    username = name_of(author)
    post = submit(CreatePost("first"), actor_id=author).resource_id
    drain_all()
    page = fragments.posts_by_author.get(username, limit=20, cursor=None)
    fragments.posts.get_existing(page.identifiers)
    assert texts(peek(username)) == ["first"]
    valkey.read_cache().delete(post_key(post))
    assert peek(username) is None
    fragments.posts.get(post)
    assert texts(peek(username)) == ["first"]
    assert valkey.read_cache().exists(author_list_key(username))


def texts(found) -> list[str]:

    _, elements = found
    return [orjson.loads(element.body)["text"] for element in elements]


def name_of(author) -> str:
    return User.objects.get(pk=author).username
