"""What seeds are built from, and the command that runs them."""

from random import Random

import pytest
from django.core.management.base import CommandError
from django.db import connections
from hypothesis import given
from hypothesis import strategies as st

from socialapp.accounts.models import USERNAME, User
from socialapp.cqrs import keys, roles
from socialapp.ops import seeding
from socialapp.ops.seeding import shares

ONE_OF_EACH = {"users": 2, "posts": 2, "comments": 2, "likes": 2, "products": 2, "categories": 2}


@given(count=st.integers(1, 200), most=st.integers(0, 50), part=st.floats(0, 1), luck=st.integers())
def test_shares_deal_everything_and_nobody_gets_too_much(count, most, part, luck):
    total = int(part * most * count)
    dealt = shares(total, count, most=most, random=Random(luck))
    assert sum(dealt) == total
    assert len(dealt) == count
    assert all(0 <= share <= most for share in dealt)


def test_shares_follow_zipf():
    dealt = shares(100_000, 1_000, most=100_000, random=Random(1))
    assert dealt[0] == pytest.approx(2 * dealt[1], rel=0.01)
    assert dealt[0] == pytest.approx(10 * dealt[9], rel=0.01)
    # The tail gets something, too.
    assert dealt[-1] > 0


def test_who_is_referred_to_comes_first():
    names = [module.__name__ for module in seeding.modules()]
    assert names.index("socialapp.accounts.seeds") < names.index("posts.seeds")


def test_a_dry_run_writes_nothing(run, empty_cache):
    before = User.objects.count()
    empty_cache.set("kept", 1)
    said = run("seed", "--users=3", "--posts=10", "--products=5", "--dry-run")
    assert "Would write 81 rows" in said
    for line in ("3 users", "10 posts", "20 comments", "30 likes", "13 categories", "5 products"):
        assert line in said
    assert User.objects.count() == before
    assert empty_cache.exists("kept")


def test_the_summary_counts_and_names_a_hot_post(run):
    said = run("seed", **ONE_OF_EACH)
    assert "Wrote 12 rows in" in said
    assert "a hot post: " in said


def test_a_world_without_posts(run):
    said = run("seed", users=1, posts=0, products=0)
    assert "Wrote 1 rows" in said
    assert "hot post" not in said


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--users=0", "--posts=1"], "--users"),
        (["--users=1", "--posts=0", "--comments=1"], "--posts"),
        (["--users=3", "--posts=3", "--likes=10"], "--likes 9"),
        (["--users=-1"], "'-1' is not a number of rows"),
        (["--posts=many"], "'many' is not a number of rows"),
    ],
)
def test_what_cannot_be_is_refused(run, options, complaint):
    with pytest.raises(CommandError, match=complaint):
        run("seed", *options)


def test_a_role_that_cannot_write_is_refused(run, monkeypatch):
    monkeypatch.setattr(roles, "current", lambda: roles.Role.READ)
    with pytest.raises(CommandError, match="role read cannot write"):
        run("seed", **ONE_OF_EACH)


def test_usernames_are_new_and_well_formed(run):
    before = set(User.objects.values_list("username", flat=True))
    for _ in range(2):
        run("seed", users=50, posts=0, products=0, seed=7)
    added = set(User.objects.values_list("username", flat=True)) - before
    assert len(added) == 100
    assert User.objects.filter(username__in=added, username__regex=rf"^{USERNAME}$").count() == 100
    assert not any(user.has_usable_password() for user in User.objects.filter(username__in=added))


def test_the_cache_is_dropped(run, empty_cache):
    empty_cache.set(keys.entry("posts", "public", "all"), b"old")
    run("seed", **ONE_OF_EACH)
    assert empty_cache.dbsize() == 0


def test_without_a_cache_rows_are_written_all_the_same(run, no_cache):
    said = run("seed", **ONE_OF_EACH)
    assert "Run flush_cache" in said
    assert "Wrote 12 rows" in said


def test_the_statement_timeout_is_as_before(run):
    def timeout() -> str:
        with connections["default"].cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            return cursor.fetchone()[0]

    before = timeout()
    run("seed", **ONE_OF_EACH)
    assert timeout() == before != "0"
