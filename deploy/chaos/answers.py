"""What the API says after the load, compared with the primary: a lost invalidation shows as a stale answer, and a
command's outcome must be told to whoever asks for it.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial

from deploy.chaos.effects import Effects, Post
from deploy.chaos.ledger import Ledger, Write, accepted
from deploy.chaos.writers import API, Client
from socialapp.tests.client import Api

# Of the posts with the most likes and edits, of all others, and of commands.
SAMPLE = 40
# Seconds. Without a token an answer may be 2 s old at the gateway; after that it must be right.
PATIENCE = 6.0
PAUSE = 0.25

# Whether the API says what the primary does.
Question = Callable[[], bool]


def stale(at: str, effects: Effects) -> list[str]:
    """Posts and lists of comments that the gateway at `at` goes on telling otherwise than the primary."""
    busy = sorted(effects.posts, key=lambda post: (post.likes, post.version), reverse=True)[:SAMPLE]
    posts = {post.id: post for post in [*busy, *drawn(effects.posts)]}
    living = defaultdict(set)
    for comment in effects.comments:
        if not comment.deleted:
            living[comment.post].add(comment.id)
    questions: dict[str, Question] = {f"post {key}": partial(says_post, at, post) for key, post in posts.items()}
    questions |= {f"comments of post {key}": partial(lists_comments, at, key, living[key]) for key in posts}
    return still_wrong(questions)


def untold(clients: list[Client], ledger: Ledger, effects: Effects) -> list[str]:
    """Of a sample of accepted writes, those of which `GET /commands/{id}` does not tell their outcome."""
    apis = {client.actor: client.api for client in clients}
    writes = [write for write in drawn(accepted(ledger)) if write.key in effects.results]
    return still_wrong({str(write): partial(tells, apis[write.actor], write, effects) for write in writes})


def says_post(at: str, post: Post) -> bool:
    answer = Api(at).get(f"{API}/posts/{post.id}")
    told = answer.json() if answer.status == 200 else {}
    return [told.get(field) for field in ("text", "like_count", "comment_count")] == [
        post.text,
        post.likes,
        post.comments,
    ]


def lists_comments(at: str, post: str, living: set[str]) -> bool:
    answer = Api(at).get(f"{API}/posts/{post}/comments?limit=100")
    return answer.status == 200 and {comment["id"] for comment in answer.json()["results"]} == living


def tells(api: Api, write: Write, effects: Effects) -> bool:
    answer = api.get(f"{API}/commands/{write.command_id}")
    return answer.status == 200 and answer.json()["status"] == effects.results[write.key].outcome


def drawn(population: list) -> list:
    return random.sample(population, min(SAMPLE, len(population)))


def still_wrong(questions: dict[str, Question]) -> list[str]:
    """The names of the questions that nobody answers right within PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    wrong = questions
    while wrong := {what: question for what, question in wrong.items() if not question()}:
        if time.monotonic() > deadline:
            return sorted(wrong)
        time.sleep(PAUSE)
    return []
