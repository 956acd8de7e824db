"""The read cache's five rules on a real Valkey, one by one, and what fragments make of them."""

import threading
import time

import pytest

from posts import fragments
from posts.commands import CreatePost, EditPost
from posts.events import post_key
from socialapp.cqrs import cache, keys, reader, routing, valkey, wire
from socialapp.cqrs.cache import Busy, Lease
from socialapp.cqrs.cursors import encode_cursor
from socialapp.cqrs.fragments import MISSING, version_of
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.problems import NotFound
from socialapp.cqrs.servers import Place
from socialapp.cqrs.stamps import content_of
from socialapp.cqrs.submit import submit

KEY = keys.entry("things", "entity", "1")
LIST = keys.entry("things", "list", "1")


def test_a_miss_gives_one_lease():
    first, second = cache.lookup(KEY), cache.lookup(KEY)
    assert isinstance(first, Lease) and isinstance(second, Busy)
    assert cache.fill(first, b"body", place=Place(1, 5), ttl=10)
    assert content_of(cache.lookup(KEY)) == b"body"


def test_lease_an_invalidation_voids_it():
    lease = cache.lookup(KEY)
    cache.invalidate([KEY], place=Place(1, 7))
    assert cache.fill(lease, b"stale", place=Place(1, 9), ttl=10) is False
    assert isinstance(cache.lookup(KEY), Lease)


def test_a_lease_fills_only_once():
    lease = cache.lookup(KEY)
    assert cache.fill(lease, b"a", place=Place(1, 1), ttl=10)
    cache.invalidate([KEY], place=Place(1, 2))
    assert cache.fill(lease, b"a", place=Place(1, 1), ttl=10) is False


def test_floor_an_invalidation_raises_it_and_never_lowers_it():
    cache.fill(cache.lookup(KEY), b"body", place=Place(1, 10), ttl=10)
    cache.invalidate([KEY], place=Place(1, 100))
    assert cache.lookup(KEY).floor == Place(1, 100)
    cache.invalidate([KEY], place=Place(1, 50))
    assert cache.lookup(KEY).floor == Place(1, 100)


def test_raise_a_fill_raises_the_floor():
    cache.fill(cache.lookup(KEY), b"old", place=Place(1, 10), ttl=10)
    cache.invalidate([KEY], place=Place(1, 20))
    cache.fill(cache.lookup(KEY), b"new", place=Place(1, 30), ttl=10)
    valkey.read_cache().delete(KEY)
    assert cache.lookup(KEY).floor == Place(1, 30)


def test_memory_a_lost_floor_is_told_and_set_to_the_primarys_present_position():
    assert cache.lookup(KEY).floor is None
    before = routing.position("default")
    cache.invalidate([KEY], place=Place(1, 1))
    assert cache.lookup(KEY).floor >= before


def test_memory_a_floor_that_is_lost_again_while_it_is_restored_is_not_set(monkeypatch):
    real, calls = routing.position, []

    def lose_memory_then_answer(alias):
        if not calls:
            valkey.read_cache().flushdb()
        calls.append(alias)
        return real(alias)

    monkeypatch.setattr(routing, "position", lose_memory_then_answer)
    cache.invalidate([KEY], place=Place(1, 1))
    assert len(calls) == 2, "the position that was read before the loss must not be used"


def test_history_a_fill_from_an_older_timeline_is_refused():
    """A reader that did not know of the promotion, on a replica that was further than the promoted one."""
    lease, page = cache.lookup(KEY), cache.lookup(LIST, "page:1")
    cache.begin_timeline(Place(2, 100))
    assert cache.fill(lease, b"lost", place=Place(1, 500), ttl=10) is False
    assert cache.fill(page, b"lost", place=Place(1, 500), ttl=10) is False
    assert cache.lookup(KEY).floor >= Place(2, 100), "the lease was given back"
    assert cache.lookup(LIST, "page:1").floor >= Place(2, 100)


def test_history_positions_are_compared_with_their_timelines():
    cache.fill(cache.lookup(KEY), b"body", place=Place(1, 500), ttl=10)
    cache.invalidate([KEY], place=Place(2, 100))
    assert cache.lookup(KEY).floor == Place(2, 100)
    cache.invalidate([KEY], place=Place(1, 900))
    assert cache.lookup(KEY).floor == Place(2, 100), "a write on the older timeline lowers nothing"
    cache.invalidate([KEY], place=Place(1, 900))
    cache.fill(cache.lookup(KEY), b"body", place=Place(3, 1), ttl=10)
    cache.invalidate([KEY], place=Place(2, 500))
    assert cache.lookup(KEY).floor == Place(3, 1)


def test_history_a_new_timeline_drops_entries_and_sets_every_floor(monkeypatch):
    cache.fill(cache.lookup(KEY), b"perhaps lost", place=Place(1, 500), ttl=10)
    present = routing.position("default")
    cache.begin_timeline(Place(present.timeline + 1, 1))
    assert valkey.read_cache().exists(KEY, LIST) == 0
    floors = {cache.lookup(keys.entry("things", "entity", n)).floor for n in range(50)}
    assert floors == {Place(present.timeline + 1, 1)}


def test_a_floor_of_earlier_code_counts_as_lost():
    """It has no timeline. Processes of both kinds share a cache during a deploy."""
    valkey.read_cache().set(keys.floor(KEY), 7)
    lease = cache.lookup(KEY)
    assert lease.floor is None
    assert cache.fill(lease, b"body", place=Place(1, 5), ttl=10)
    valkey.read_cache().delete(KEY)
    assert cache.lookup(KEY).floor == Place(1, 5)
    assert valkey.read_cache().get(keys.floor(KEY)) == b"5", "which earlier code reads"
    valkey.read_cache().delete(keys.floor_timeline(KEY))
    cache.invalidate([KEY], place=Place(1, 1))
    assert cache.lookup(KEY).floor > Place(1, 5), "the primary's present position"


@pytest.mark.parametrize("reset", [lambda: None, lambda: valkey.read_cache().delete(keys.floor(LIST))])
def test_a_list_is_a_hash_whose_pages_have_their_own_leases(reset):
    first, second = cache.lookup(LIST, "page:1"), cache.lookup(LIST, "page:2")
    assert isinstance(first, Lease) and isinstance(second, Lease)
    assert isinstance(cache.lookup(LIST, "page:1"), Busy)
    assert cache.fill(first, b"one", place=Place(1, 1), ttl=10)
    reset()
    cache.invalidate([LIST], place=Place(1, 2))
    assert cache.fill(second, b"two", place=Place(1, 3), ttl=10) is False
    assert isinstance(cache.lookup(LIST, "page:1"), Lease)
    assert valkey.read_cache().exists(LIST) == 0


def test_a_list_has_one_lifetime_and_a_bounded_number_of_pages(monkeypatch):
    monkeypatch.setattr(cache, "MOST_FIELDS", 4)
    for page in range(5):
        cache.fill(cache.lookup(LIST, f"page:{page}"), b"x", place=Place(1, 1), ttl=10)
    assert valkey.read_cache().hlen(LIST) == 4
    assert 0 < valkey.read_cache().pttl(LIST) <= 10_000


def test_floors_outlive_entries():
    cache.fill(cache.lookup(KEY), b"body", place=Place(1, 10), ttl=10)
    assert valkey.read_cache().ttl(keys.floor(KEY)) == -1
    assert 0 < valkey.read_cache().pttl(KEY) <= 10_000


def test_forgetting_entries_keeps_the_floors():
    cache.fill(cache.lookup(KEY), b"body", place=Place(1, 10), ttl=10)
    other = keys.entry("others", "entity", "1")
    cache.fill(cache.lookup(other), b"body", place=Place(1, 10), ttl=10)
    assert sum(cache.forget("things:*")) == 1
    assert sum(cache.forget("*")) == 1
    assert cache.lookup(KEY).floor == Place(1, 10)


def test_a_fragment_is_read_once_and_then_comes_from_the_cache(author, drain_all, django_assert_num_queries):
    post = submit(CreatePost("cached"), actor_id=author).resource_id
    drain_all()
    first = fragments.posts.get(post)
    with django_assert_num_queries(0):
        assert fragments.posts.get(post) == first
    submit(EditPost("changed"), actor_id=author, resource_id=post)
    drain_all()
    changed = fragments.posts.get(post)
    assert b'"text":"changed"' in changed.body
    assert (version_of(first.etag.decode()), version_of(changed.etag.decode())) == (1, 2)


def test_what_does_not_exist_is_remembered_until_it_is_created(author, drain_all, django_assert_num_queries):
    nobody = new_id()
    for queries in (3, 0):
        with django_assert_num_queries(queries), pytest.raises(NotFound):
            fragments.posts.get(nobody)
    assert content_of(valkey.read_cache().get(post_key(nobody))) == MISSING
    submit(CreatePost("now"), actor_id=author, resource_id=nobody)
    drain_all()
    assert b'"text":"now"' in fragments.posts.get(nobody).body


def test_many_are_read_in_one_query(author, drain_all, django_assert_num_queries):
    made = [submit(CreatePost(f"number {n}"), actor_id=author).resource_id for n in range(10)]
    drain_all()
    with django_assert_num_queries(3):
        found = fragments.posts.get_existing([str(post) for post in made])
    assert len(found) == 10


def test_a_busy_reader_waits_for_the_holder_of_the_lease(author, drain_all, django_assert_num_queries):
    post = submit(CreatePost("busy"), actor_id=author).resource_id
    drain_all()
    lease = cache.lookup(post_key(post))
    filler = threading.Timer(0.02, cache.fill, [lease, b'"1-x"\n{}'], {"place": Place(1, 2**40), "ttl": 10})
    filler.start()
    with django_assert_num_queries(0):
        assert fragments.posts.get(post).body == b"{}"
    filler.join()


def test_a_busy_reader_does_not_wait_for_ever(author, drain_all):
    post = submit(CreatePost("stuck"), actor_id=author).resource_id
    drain_all()
    cache.lookup(post_key(post))
    started = time.monotonic()
    assert b"stuck" in fragments.posts.get(post).body
    assert time.monotonic() - started < 0.5
    assert valkey.read_cache().get(post_key(post)) is None, "without the lease nothing is filled"


def test_without_a_cache_reads_go_on(author, drain_all, monkeypatch):
    post = submit(CreatePost("still here"), actor_id=author).resource_id
    drain_all()

    def unreachable(*_):
        raise valkey.RedisError("down")

    monkeypatch.setattr(wire, "get", unreachable)
    assert b"still here" in fragments.posts.get(post).body
    assert len(fragments.posts_by_author.get(_username(author), limit=5, cursor=None).identifiers) == 1


def _username(author) -> str:
    from socialapp.accounts.models import User

    return User.objects.get(pk=author).username


FIRST_PAGES = [f"cursor::limit:{limit}" for limit in range(1, 101)] + ["page:1:limit:20"]


@pytest.mark.parametrize("first", ["cursor::limit:20", "page:1:limit:20"])
def test_pages_of_made_up_cursors_take_no_place_of_a_first_page(first):
    fill_page(first)
    for number in range(cache.MOST_FIELDS + 10):
        fill_page(f"cursor:{number}:limit:20")
    assert content_of(cache.lookup(LIST, first)) == b"page"
    assert content_of(cache.lookup(LIST, f"cursor:{number}:limit:20")) == b"page", "the newest is kept"
    assert valkey.read_cache().hlen(LIST) == cache.MOST_FIELDS + 1


def test_first_pages_of_all_limits_are_kept():
    for page in FIRST_PAGES:
        fill_page(page)
    for number in range(cache.MOST_FIELDS + 10):
        fill_page(f"cursor:{number}:limit:20")
    assert all(content_of(cache.lookup(LIST, page)) == b"page" for page in FIRST_PAGES)
    assert valkey.read_cache().hlen(LIST) == cache.MOST_FIELDS + len(FIRST_PAGES)


def fill_page(page: str) -> None:
    assert cache.fill(cache.lookup(LIST, page), b"page", place=Place(1, 1), ttl=10)


def test_a_crowd_of_cursors_does_not_evict_the_public_list(author, drain_all):
    submit(CreatePost("first"), actor_id=author)
    drain_all()
    fragments.public_posts.get("all", limit=20, cursor=None)
    for _ in range(cache.MOST_FIELDS + 2):
        fragments.public_posts.get("all", limit=20, cursor=encode_cursor(new_id()))
    assert reader.peek([fragments.public_posts.slot("all", 20, None)]) is not None
