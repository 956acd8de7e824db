"""The command dead_letters: finds letters, asks, and decides about each."""

import io
import sys

import pytest
from django.core.management.base import CommandError

from posts.commands import CreateComment, CreatePost
from socialapp.cqrs import dead_letters
from socialapp.cqrs.dead_letters import DiscardDeadLetter
from socialapp.cqrs.models import DeadLetter
from socialapp.cqrs.submit import submit


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def letters(author, drain_all):
    """The ids of three comments that are too long for their column."""
    post = submit(CreatePost("host"), actor_id=author).resource_id
    poison = [str(submit(CreateComment(str(post), "x" * 2001), actor_id=author).command_id) for _ in range(3)]
    drain_all()
    return poison


def states(letters) -> list[str]:
    return list(DeadLetter.objects.filter(pk__in=letters).order_by("pk").values_list("state", flat=True))


def test_a_list_names_them_and_counts_by_error(run, letters):
    said = run("dead_letters", "list", "--id", *letters)
    assert all(letter in said for letter in letters)
    assert "3 dead letters" in said
    assert "       3  CreateComment  DataError" in said


def test_a_list_is_filtered(run, letters):
    assert "0 dead letters" in run("dead_letters", "list", "--type=LikePost", "--id", *letters)
    assert "0 dead letters" in run("dead_letters", "list", "--error=no such error", "--id", *letters)
    assert "3 dead letters" in run("dead_letters", "list", "--error=TOO LONG", "--id", *letters)
    assert "0 dead letters" in run("dead_letters", "list", "--state=discarded", "--id", *letters)


def test_a_dry_run_changes_nothing(run, letters):
    assert "Would discard 3" in run("dead_letters", "discard", "--reason=spam", "--dry-run", "--id", *letters)
    assert states(letters) == ["buried"] * 3


def test_discard(run, letters):
    assert "Discarded 2 dead" in run("dead_letters", "discard", "--reason=spam", "--yes", "--id", *letters[:2])
    assert states(letters) == ["discarded", "discarded", "buried"]
    step = DeadLetter.objects.get(pk=letters[0]).steps.latest("pk")
    assert (step.action, step.reason) == ("discarded", "spam") and step.by.endswith("(manage.py)")


def test_requeue(run, letters, drain_all):
    assert "Requeued 3 dead" in run("dead_letters", "requeue", "--reason=mended", "--yes", "--id", *letters)
    assert states(letters) == ["requeued"] * 3
    drain_all()
    assert states(letters) == ["buried"] * 3, "nothing was mended"


@pytest.mark.parametrize(("answer", "state"), [("y\n", "discarded"), ("\n", "buried")])
def test_a_person_is_asked(run, letters, monkeypatch, answer, state):
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    run("dead_letters", "discard", "--reason=spam", "--id", *letters)
    assert states(letters) == [state] * 3


def test_without_a_terminal_it_needs_yes(run, letters, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(CommandError, match="--yes"):
        run("dead_letters", "discard", "--reason=spam", "--id", *letters)
    assert states(letters) == ["buried"] * 3


def test_nothing_matches(run, letters):
    with pytest.raises(CommandError, match="No dead letter"):
        run("dead_letters", "requeue", "--reason=x", "--yes", "--type=LikePost", "--id", *letters)


def test_what_somebody_else_decides_meanwhile_is_refused(run, letters, monkeypatch):
    discard = dead_letters.discard

    def late(letter_id, decision):
        discard(letter_id, DiscardDeadLetter("ada", "first"))
        return discard(letter_id, decision)

    monkeypatch.setattr(dead_letters, "discard", late)
    with pytest.raises(CommandError, match="3 were refused"):
        run("dead_letters", "discard", "--reason=second", "--yes", "--id", *letters)
