"""The auditor's look: what is stale is named after the last grace, and what is in flight is not."""

import secrets
from uuid import UUID

import pytest
from django.db import connections

from posts import fragments
from posts.commands import CreatePost, DeletePost, EditPost
from posts.events import post_key
from socialapp.cqrs import audit, cache, keys, routing, valkey
from socialapp.cqrs.audit import CACHE, STALE, UNKNOWN, UNREACHABLE, UNSETTLED, Subject, within
from socialapp.cqrs.fragments import DELETED, MISSING
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.stamps import LENGTH, content_of
from socialapp.cqrs.submit import submit

STAMP = b"9999999999999 00001 "
FIRST_PAGE = "cursor::limit:20"


@pytest.fixture
def post(author, drain_all) -> str:
    """The id of a post that the cache holds."""
    created = submit(CreatePost("before"), actor_id=author).resource_id
    drain_all()
    fragments.posts.get(created)
    return str(created)


@pytest.fixture
def edit(post, author, drain_all):
    def edit_post(text: str) -> None:
        submit(EditPost(text), actor_id=author, resource_id=post)
        drain_all()

    return edit_post


def plant(key: str, content: bytes, page: str = "") -> None:
    """Into the cache, past its protocol."""
    client = valkey.read_cache()
    client.hset(key, page, STAMP + content) if page else client.set(key, STAMP + content)


def in_cache(key: str, page: str = "") -> Subject:
    return Subject(key, page, (CACHE,))


def looks_at(subject: Subject) -> list[audit.Look]:
    """One look after the other, until nothing is left to look at."""
    looks = [audit.look(subject)]
    while looks[-1].again:
        looks.append(audit.look(looks[-1].again))
    return looks


def test_what_the_protocol_put_agrees_at_once(post):
    (look,) = looks_at(in_cache(post_key(post)))
    assert look.outcomes == {CACHE: within(0)}


def test_a_planted_stale_entry_is_named_after_the_last_grace(post, edit):
    stale = content_of(valkey.read_cache().get(post_key(post)))
    edit("after")
    plant(post_key(post), stale)
    *before, last = looks_at(in_cache(post_key(post)))
    assert len(before) == len(audit.GRACES) - 1
    assert not any(look.outcomes or look.violation for look in before)
    assert last.outcomes == {CACHE: STALE}
    assert last.violation.slot == (post_key(post), "")
    assert '"text":"before"' in last.violation.cached
    assert '"text":"after"' in last.violation.primary


def test_a_planted_stale_page_is_named(post):
    fragments.public_posts.get("all", limit=20, cursor=None)
    key = fragments.public_posts.key("all")
    assert audit.look(in_cache(key, FIRST_PAGE)).outcomes == {CACHE: within(0)}
    plant(key, b'[["%s"],null]' % str(new_id()).encode(), FIRST_PAGE)
    last = looks_at(in_cache(key, FIRST_PAGE))[-1]
    assert last.violation.slot == (key, FIRST_PAGE)
    assert post in last.violation.primary


def test_a_later_page_is_compared_with_the_same_page(author, drain_all):
    for text in "abc":
        submit(CreatePost(text), actor_id=author)
    drain_all()
    cursor = fragments.public_posts.get("all", limit=2, cursor=None).cursor
    fragments.public_posts.get("all", limit=2, cursor=cursor)
    page = in_cache(fragments.public_posts.key("all"), f"cursor:{cursor}:limit:2")
    assert valkey.read_cache().hexists(page.key, page.field)
    assert audit.look(page).outcomes == {CACHE: within(0)}


@pytest.mark.parametrize("refilled", [False, True])
def test_what_is_in_flight_is_no_violation(post, edit, refilled):
    """The commit is visible and its invalidation comes a moment later."""
    stale = content_of(valkey.read_cache().get(post_key(post)))
    edit("after")
    plant(post_key(post), stale)
    first = audit.look(in_cache(post_key(post)))
    assert first.outcomes == {} and first.again
    cache.invalidate([post_key(post)], place=routing.position(routing.PRIMARY))
    if refilled:
        fragments.posts.get(post)
    assert audit.look(first.again).outcomes == {CACHE: within(1)}


@pytest.fixture
def between_the_reads(monkeypatch):
    """Do something after the primary was read for the first time, and before the cache is."""

    def arrange(action) -> None:
        real = audit._content

        def content(*arguments):
            action()
            return real(*arguments)

        monkeypatch.setattr(audit, "_content", content)

    return arrange


def test_a_write_during_the_look_is_no_disagreement(post, edit, between_the_reads):
    def write_and_read():
        edit("after")
        fragments.posts.get(post)

    between_the_reads(write_and_read)
    assert audit.look(in_cache(post_key(post))).outcomes == {CACHE: within(0)}


def test_nothing_is_said_of_a_hot_key_whose_truth_does_not_stand_still(post, edit, between_the_reads):
    """The entry may be any of the states that came and went between the two reads of the primary."""

    def write_and_plant():
        edit(secrets.token_hex(4))
        plant(post_key(post), b'"1-x"\n{}')

    between_the_reads(write_and_plant)
    last = looks_at(in_cache(post_key(post)))[-1]
    assert last.outcomes == {CACHE: UNSETTLED}
    assert last.violation is None


def test_an_entry_that_changed_between_the_looks_is_unsettled(post):
    subject = in_cache(post_key(post))
    for number in range(len(audit.GRACES)):
        plant(post_key(post), b'"1-x"\n{"wrong":%d}' % number)
        look = audit.look(subject)
        subject = look.again
    assert look.outcomes == {CACHE: UNSETTLED}


def test_a_new_stamp_is_no_change(post):
    plant(post_key(post), b'"1-x"\n{}')
    first = audit.look(in_cache(post_key(post)))
    valkey.read_cache().set(post_key(post), b"8" * LENGTH + b'"1-x"\n{}')
    assert looks_at(first.again)[-1].outcomes == {CACHE: STALE}


def test_what_does_not_exist_and_what_was_deleted_are_audited_too(post, author, drain_all):
    nobody = post_key(new_id())
    plant(nobody, MISSING)
    assert audit.look(in_cache(nobody)).outcomes == {CACHE: within(0)}
    plant(post_key(post), MISSING)
    assert looks_at(in_cache(post_key(post)))[-1].violation.cached == "missing"
    submit(DeletePost(), actor_id=author, resource_id=post)
    drain_all()
    plant(post_key(post), DELETED)
    assert audit.look(in_cache(post_key(post))).outcomes == {CACHE: within(0)}


def test_an_entry_that_is_gone_agrees(post):
    valkey.read_cache().delete(post_key(post))
    assert audit.look(in_cache(post_key(post))).outcomes == {CACHE: within(0)}


@pytest.mark.parametrize(
    ("key", "page"),
    [
        (keys.entry("widgets", "entity", 1), ""),
        (keys.entry("posts", "entity", UUID(int=1)), FIRST_PAGE),
        (keys.entry("posts", "public", "all"), ""),
        (keys.entry("posts", "public", "all"), "page:1"),
        (keys.entry("posts", "public", "all"), "cursor:nonsense:limit:20"),
        (keys.entry("posts", "public", "all"), "cursor::limit:99999999999999999999"),
        (keys.entry("posts", "entity", "no-id"), ""),
        (f"{keys.PREFIX}:nothing", ""),
    ],
)
def test_what_this_process_could_not_have_made_is_unknown(key, page):
    plant(key, b"{}", page)
    assert looks_at(in_cache(key, page))[-1].outcomes == {CACHE: UNKNOWN}
    connections[routing.PRIMARY].ensure_connection()


def test_every_replica_is_a_place(post):
    assert audit.subject(post_key(post)).places == (CACHE, "replica1")


def test_a_replica_that_does_not_answer_is_counted_and_nothing_else(post, monkeypatch):
    connections["replica1"].close()
    monkeypatch.setitem(connections["replica1"].settings_dict, "NAME", "nowhere")
    look = audit.look(audit.subject(post_key(post)))
    assert look.outcomes == {CACHE: within(0), "replica1": UNREACHABLE}
    assert look.again is None


@pytest.mark.parametrize(
    ("cached", "primary", "shown"),
    [
        (b'"1-a"\n{"a":1}', b'"2-b"\n{"a":2}', ('{"a":1}', '{"a":2}')),
        (b'"1-a"\n{}', b'"2-a"\n{}', ('"1-a"\n{}', '"2-a"\n{}')),
        (MISSING, b'"1-a"\n{}', ("missing", "{}")),
        (
            b"a" * 50 + b"x" + b"c" * 200,
            b"a" * 50 + b"y",
            ("…" + "a" * 24 + "x" + "c" * 47 + "…", "…" + "a" * 24 + "y"),
        ),
    ],
)
def test_excerpts_show_the_first_difference(cached, primary, shown):
    assert audit.excerpts(cached, primary) == shown
