"""The auditor's walk over the read cache: every entry comes up, in bounded steps, and nothing else does."""

import pytest

from socialapp.cqrs import keys, valkey
from socialapp.cqrs.sampling import sample

POSTS = [keys.entry("posts", "entity", number) for number in range(300)]
LIST = keys.entry("posts", "public", "all")


@pytest.fixture
def filled():
    valkey.read_cache().mset(dict.fromkeys(POSTS, b"x"))
    valkey.read_cache().hset(LIST, mapping={"cursor::limit:20": b"x", "cursor:abc:limit:20": b"x"})
    valkey.read_cache().mset({keys.floor(key): 1 for key in POSTS} | {keys.lease(key): "x" for key in POSTS})
    return [(key, "") for key in POSTS] + [(LIST, "cursor::limit:20"), (LIST, "cursor:abc:limit:20")]


def test_an_empty_cache_has_no_sample():
    assert sample(10) == []


def test_a_sample_as_large_as_the_cache_has_every_entry_and_page_once(filled):
    assert sorted(sample(1000)) == sorted(filled)


def test_a_sample_is_no_larger_than_asked(filled):
    assert len(sample(7)) == 7


def test_small_samples_come_round_to_every_entry(filled):
    left, samples = set(filled), 0
    while left and samples < 200:
        left -= set(sample(20))
        samples += 1
    assert not left


def test_without_the_state_store_the_walk_begins_anew(filled, monkeypatch):
    def unreachable():
        raise valkey.RedisError("down")

    monkeypatch.setattr(valkey, "state", unreachable)
    assert sorted(sample(1000)) == sorted(filled)
