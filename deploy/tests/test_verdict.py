"""The comparison of ledger and primary finds what is planted: a write that was lost, doubled, or out of order."""

from dataclasses import replace

import pytest

from deploy.chaos.effects import Comment, Effects, Event, Post, Result
from deploy.chaos.ledger import Ledger, Write
from deploy.chaos.verdict import judge

ADA = "ada"


def write(number: int, kind: str, line: str, **told: str) -> Write:
    entry = Write(f"key-{number}", kind, ADA, number, line=line, method="POST", path="/", **told)
    entry.command_id, entry.accepted, entry.seen = f"command-{number}", 100.0 + number, 100.5 + number
    return entry


@pytest.fixture
def ledger() -> Ledger:
    """A post, edited twice; a comment on it, withdrawn, and one that stays; a like, taken back and given again."""
    return [
        write(0, "create", "text", marker="own", text="own"),
        write(1, "edit", "text", post="post", marker="own", text="own / edit 0"),
        write(2, "comment", "comment 1", post="post", marker="comment 1", text="comment 1"),
        write(3, "withdraw", "comment 1", post="post", marker="comment 1"),
        write(4, "comment", "comment 2", post="post", marker="comment 2", text="comment 2"),
        write(5, "like", "like", post="post"),
        write(6, "unlike", "like", post="post"),
        write(7, "like", "like", post="post"),
        write(8, "edit", "text", post="post", marker="own", text="own / edit 1"),
    ]


@pytest.fixture
def effects(ledger) -> Effects:
    """All of it. The like and the unlike met in one batch, so that only the last like is a fact."""
    facts = ["PostCreated", "PostEdited", "CommentCreated", "CommentDeleted", "CommentCreated", "", "", "PostLiked"]
    return Effects(
        results={entry.key: Result(entry.command_id, "applied") for entry in ledger},
        posts=[Post("post", "own / edit 1", likes=1, comments=1, version=3)],
        comments=[Comment("c1", "post", "comment 1", True), Comment("c2", "post", "comment 2", False)],
        likes={("post", ADA): True},
        events=[Event(f"command-{n}", fact) for n, fact in enumerate([*facts, "PostEdited"]) if fact],
    )


def found(ledger: Ledger, effects: Effects) -> dict[str, int]:
    verdict = judge(ledger, effects)
    return {name: len(getattr(verdict, name)) for name in ("lost", "doubled", "disordered") if getattr(verdict, name)}


def test_nothing_is_found_where_nothing_is_wrong(ledger, effects):
    assert found(ledger, effects) == {}


def test_a_write_without_a_result_is_lost(ledger, effects):
    del effects.results["key-5"]
    assert found(ledger, effects) == {"lost": 1}


def test_a_dead_letter_is_lost(ledger, effects):
    effects.results["key-5"] = Result("command-5", "failed")
    assert found(ledger, effects) == {"lost": 1}


def test_a_result_without_its_row_is_lost(ledger, effects):
    effects.comments.pop()
    effects.posts[0] = replace(effects.posts[0], comments=0)
    assert found(ledger, effects) == {"lost": 1}


def test_a_result_without_its_event_is_lost(ledger, effects):
    effects.events.remove(Event("command-2", "CommentCreated"))
    assert found(ledger, effects) == {"lost": 1}


def test_a_comment_that_was_withdrawn_and_lives_is_lost(ledger, effects):
    effects.comments[0] = replace(effects.comments[0], deleted=False)
    effects.posts[0] = replace(effects.posts[0], comments=2)
    assert found(ledger, effects) == {"lost": 1}


@pytest.mark.parametrize("count", ["likes", "comments", "version"])
def test_a_count_that_is_too_low_is_a_lost_write(ledger, effects, count):
    effects.posts[0] = replace(effects.posts[0], **{count: getattr(effects.posts[0], count) - 1})
    assert found(ledger, effects) == {"lost": 1}


@pytest.mark.parametrize("count", ["likes", "comments", "version"])
def test_a_count_that_is_too_high_is_a_doubled_write(ledger, effects, count):
    effects.posts[0] = replace(effects.posts[0], **{count: getattr(effects.posts[0], count) + 1})
    assert found(ledger, effects) == {"doubled": 1}


def test_a_second_row_is_a_doubled_write(ledger, effects):
    effects.posts.append(Post("other", "own", likes=0, comments=0, version=1))
    assert found(ledger, effects) == {"doubled": 1}


def test_a_second_event_is_a_doubled_write(ledger, effects):
    effects.events.append(Event("command-8", "PostEdited"))
    assert found(ledger, effects) == {"doubled": 1}


def test_events_that_changed_places_are_out_of_order(ledger, effects):
    """Also where what holds in the end is right."""
    edit = effects.events.pop(1)
    effects.events.append(edit)
    assert found(ledger, effects) == {"disordered": 1}


def test_an_earlier_edit_that_came_last_is_out_of_order(ledger, effects):
    effects.posts[0] = replace(effects.posts[0], text="own / edit 0")
    assert found(ledger, effects) == {"disordered": 1}


def test_an_unlike_that_came_last_is_out_of_order(ledger, effects):
    effects.likes["post", ADA] = False
    effects.posts[0] = replace(effects.posts[0], likes=0)
    assert found(ledger, effects) == {"disordered": 1}


def test_a_write_that_was_rejected_came_before_what_it_needs(ledger, effects):
    effects.results["key-3"] = Result("command-3", "rejected", "not_found")
    assert "disordered" in found(ledger, effects)


def test_a_write_that_nobody_accepted_may_be_missing(ledger, effects):
    never = Write("key-9", "comment", ADA, 9, line="comment 3", method="POST", path="/", marker="comment 3")
    assert found([*ledger, never], effects) == {}


def test_a_result_under_another_id_is_no_loss(ledger, effects):
    effects.results["key-5"] = Result("another", "applied")
    assert found(ledger, effects) == {}
    assert judge(ledger, effects).renamed == 1
