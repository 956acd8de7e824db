"""A command that kills its worker is found and buried; it takes no neighbour with it, and no innocent is blamed."""

import pytest

from posts.commands import CreateComment, CreatePost
from posts.models import Comment, Post
from socialapp.cqrs import apply, keys, log, outcomes, suspects, valkey
from socialapp.cqrs.ids import partition_of
from socialapp.cqrs.models import DeadLetter
from socialapp.cqrs.submit import submit
from socialapp.tests.kernel import mortal

# Stands for what kills without a word: a crash in C code, or the kernel when there is no memory left.
DEADLY = "before posts.handlers.comments._new_comment deadly"


@pytest.fixture
def post(author, drain_all):
    accepted = submit(CreatePost("host"), actor_id=author)
    drain_all()
    return accepted.resource_id


def test_a_command_that_kills_its_worker_is_buried_and_its_neighbours_live(author, post):
    partition = partition_of(post)
    accepted = [submit(CreateComment(str(post), text), actor_id=author) for text in ("one", "deadly", "two")]
    deaths = 0
    while mortal.run(partition, DEADLY) == mortal.KILLED:
        deaths += 1
    assert deaths == suspects.MOST_DEATHS_OF_A_BATCH + suspects.MOST_DEATHS_ALONE == 3
    found = outcomes.lookup([one.command_id for one in accepted])
    assert [found[one.command_id].status for one in accepted] == ["applied", "failed", "applied"]
    assert Post.objects.get(pk=post).comment_count == Comment.objects.filter(post=post).count() == 2
    letter = DeadLetter.objects.get(pk=accepted[1].command_id)
    assert "workers died in it: 2 by itself" in letter.error and "Traceback" in letter.traceback
    assert log.backlog(partition) == 0
    assert not valkey.command_log().exists(keys.deaths(partition))


def test_workers_that_are_killed_for_other_reasons_bury_nobody(author, post, drain_all):
    partition = partition_of(post)
    accepted = [submit(CreateComment(str(post), text), actor_id=author) for text in ("one", "two")]
    for _ in range(suspects.MOST_DEATHS_OF_A_BATCH + suspects.MOST_DEATHS_ALONE - 1):
        assert mortal.run(partition, "before posts.handlers.comments.write_counts") == mortal.KILLED
    drain_all()
    assert {outcome.status for outcome in outcomes.lookup([one.command_id for one in accepted]).values()} == {"applied"}
    assert Post.objects.get(pk=post).comment_count == 2
    assert not valkey.command_log().exists(keys.deaths(partition))


def test_a_command_that_fails_leaves_no_note(author, post, monkeypatch):
    submit(CreateComment(str(post), "x" * 2001), actor_id=author)
    apply.drain(partition_of(post))
    assert DeadLetter.objects.filter(partition=partition_of(post), error__startswith="DataError").exists()
    assert not valkey.command_log().exists(keys.deaths(partition_of(post)))


def test_a_log_that_does_not_answer_blames_nobody(post, monkeypatch):
    """The note may have been made although its answer never came."""
    noted = valkey.command_log().pipeline

    class Unanswered:
        def __init__(self, **kwargs):
            self.pipeline = noted(**kwargs)

        def __getattr__(self, name):
            return getattr(self.pipeline, name)

        def execute(self):
            self.pipeline.execute()
            raise TimeoutError

    with monkeypatch.context() as patched, pytest.raises(TimeoutError):
        patched.setattr(type(valkey.command_log()), "pipeline", lambda self, **kwargs: Unanswered(**kwargs))
        with suspects.watched(partition_of(post), "someone"):
            raise AssertionError("not run")
    assert not valkey.command_log().exists(keys.deaths(partition_of(post)))
