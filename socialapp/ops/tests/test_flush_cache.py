"""Dropping entries never touches the protocol that guards them."""

import io
import sys

import pytest
from django.core.management.base import CommandError

from socialapp.cqrs import keys

POST, OTHER_POST = keys.entry("posts", "entity", 1), keys.entry("posts", "entity", 2)
USER = keys.entry("accounts", "user", "ada")
FLOOR = keys.floor(POST)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def filled(empty_cache):
    empty_cache.mset(dict.fromkeys([POST, OTHER_POST, USER, keys.lease(POST), FLOOR], b"1"))
    return empty_cache


def test_a_pattern_drops_only_what_matches(run, filled):
    assert "Dropped 2 entries" in run("flush_cache", "--pattern=posts:entity:*")
    assert filled.exists(POST, OTHER_POST) == 0
    # A floor that was forgotten alone might come back lower.
    assert filled.exists(USER, FLOOR) == 2


def test_a_pattern_never_matches_the_protocols_own_keys(run, filled):
    run("flush_cache", "--pattern=*")
    assert filled.exists(POST, OTHER_POST, USER) == 0
    assert filled.exists(FLOOR, keys.lease(POST)) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [([], "Would drop 5 keys"), (["--pattern=posts:entity:*"], "Would drop 2 entries matching posts:entity:*")],
)
def test_a_dry_run_counts_and_drops_nothing(run, filled, arguments, said):
    assert said in run("flush_cache", "--dry-run", *arguments)
    assert filled.dbsize() == 5


def test_everything_goes_with_yes(run, filled):
    assert "Dropped 5 keys" in run("flush_cache", "--yes")
    assert filled.dbsize() == 0


def test_without_a_terminal_everything_needs_yes(run, filled, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(CommandError, match="--yes"):
        run("flush_cache")
    assert filled.dbsize() == 5


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("\n", 5), ("no\n", 5)])
def test_a_person_is_asked(run, filled, monkeypatch, answer, left):
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    run("flush_cache")
    assert filled.dbsize() == left


@pytest.mark.parametrize("arguments", [["--yes"], ["--dry-run"], ["--pattern=posts:*"]])
def test_an_unreachable_cache_is_named(run, no_cache, arguments):
    with pytest.raises(CommandError, match="CACHE_URL"):
        run("flush_cache", *arguments)
