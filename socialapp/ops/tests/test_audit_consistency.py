"""The command: what it finds, what it says, and its exit code."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError

from posts import fragments
from posts.models import Post
from socialapp.cqrs import audit, keys, valkey
from socialapp.cqrs.audit import CACHE, STALE, within
from socialapp.ops import auditing
from socialapp.ops.management.commands import audit_consistency
from socialapp.tests.kernel.test_audit import FIRST_PAGE, plant


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """The same graces, a thousandth as long."""
    monkeypatch.setattr(audit, "GRACES", (0, 0.001, 0.005, 0.01))


@pytest.fixture
def post(run, empty_cache) -> str:
    """The key of a post that the cache holds, in a list, too."""
    valkey.state().delete(keys.audit("counts"), keys.audit("places"))
    run("seed", users=1, posts=1, comments=0, likes=0)
    fragments.public_posts.get("all", limit=20, cursor=None)
    newest = Post.objects.latest("pk").pk
    fragments.posts.get(newest)
    return fragments.posts.key(newest)


def test_a_cache_without_fault_is_exit_code_0(run, post):
    said = run("audit_consistency", "--once", "--rate=1000")
    assert "cache                2   100.00%" in said
    assert "replica1             2" in said
    assert "stale" not in said


@pytest.mark.parametrize(
    ("key", "page", "true"), [("", "", '"text":'), (fragments.public_posts.key("all"), FIRST_PAGE, '[["')]
)
def test_a_planted_entry_is_named_with_both_contents_and_exit_code_1(post, key, page, true):
    plant(key or post, b'["planted"]', page)
    said = StringIO()
    with pytest.raises(CommandError, match="flush_cache") as raised:
        call_command("audit_consistency", "--once", "--rate=1000", stdout=said)
    assert raised.value.returncode == 1
    named, cached, primary = said.getvalue().partition("stale: ")[2].splitlines()
    assert named == f"{key or post} {page}".strip()
    assert '["planted"]' in cached
    assert true in primary


def test_what_it_found_is_counted_for_the_metrics(run, post):
    plant(post, b"planted")
    with pytest.raises(CommandError):
        run("audit_consistency", "--once", "--rate=1000")
    counts = auditing.totals()
    assert (counts[CACHE, STALE], counts[CACHE, within(0)]) == (1, 1)


def test_an_unknown_entry_is_told_and_is_no_violation(run, post):
    plant(keys.entry("widgets", "entity", 1), b"{}")
    assert "1 unknown (cache)" in run("audit_consistency", "--once", "--rate=1000")


def test_the_sample_is_bounded(run, post):
    assert "cache                1" in run("audit_consistency", "--once", "--sample=1")


def test_an_empty_cache_is_no_error(run, empty_cache):
    assert "cache                0" in run("audit_consistency", "--once")


def test_without_once_it_goes_on_until_ctrl_c_and_names_each_stale_entry_once(post, monkeypatch):
    plant(post, b"planted")
    monkeypatch.setattr(audit_consistency, "REPORT_EVERY", 0.1)
    monkeypatch.setattr(audit_consistency, "SMALL_CACHE_PAUSE", 0.01)
    real, said = audit_consistency.Command._report, StringIO()

    def report_until_it_was_found_often(command, auditor):
        real(command, auditor)
        if auditor.counts[CACHE, STALE] > 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(audit_consistency.Command, "_report", report_until_it_was_found_often)
    with pytest.raises(CommandError) as raised:
        call_command("audit_consistency", "--rate=1000", stdout=said)
    assert raised.value.returncode == 1
    assert said.getvalue().count(f"stale: {post}") == 1


@pytest.mark.parametrize("option", ["--rate=0", "--rate=x", "--sample=-1"])
def test_numbers_are_above_0(run, option):
    with pytest.raises(CommandError, match="is not a number above 0"):
        run("audit_consistency", "--once", option)


def test_an_unreachable_cache_is_named_with_exit_code_2(run, no_cache):
    with pytest.raises(CommandError, match="CACHE_URL") as raised:
        run("audit_consistency", "--once")
    assert raised.value.returncode == 2


def test_an_unreachable_primary_is_named_with_exit_code_2(run, post, monkeypatch):
    def down(subject):
        raise OperationalError("down")

    monkeypatch.setattr(audit, "look", down)
    with pytest.raises(CommandError, match="DATABASE_URL") as raised:
        run("audit_consistency", "--once")
    assert raised.value.returncode == 2


def test_without_the_state_store_it_audits_and_says_what_is_missing(run, post, monkeypatch):
    def unreachable():
        raise valkey.RedisError("down")

    monkeypatch.setattr(valkey, "state", unreachable)
    said = run("audit_consistency", "--once")
    assert "cache                2" in said
    assert "STATE_URL" in said
