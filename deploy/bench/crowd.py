"""Who writes what in the write part: access tokens, fresh posts, and likes of which none has been before."""

import os
import random
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from uuid import UUID

import psycopg

from deploy.bench.load import Request
from deploy.bench.servers import CHECKOUT
from deploy.embedded.stack import Stack

# Posts that spread likes fall on.
SPREAD = 5_000
# Requests per list of new posts; wrk goes round it.
POSTS = 5_000

NEW_POSTS = """
    INSERT INTO posts_post
        (id, author_id, text, hashtags, created_at, like_count, comment_count, version, sequence)
    SELECT uuidv7(), (SELECT id FROM accounts_user LIMIT 1), 'to be liked', '{}', now(), 0, 0, 1, 1
    FROM generate_series(1, %s) RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Like:
    user: UUID
    post: UUID


@dataclass(frozen=True)
class Crowd:
    """usernames: by id."""

    stack: Stack
    usernames: dict[UUID, str]

    @classmethod
    def of(cls, stack: Stack) -> "Crowd":
        with primary(stack) as connection:
            return cls(stack, dict(connection.execute("SELECT id, username FROM accounts_user").fetchall()))

    def likes(self, number: int, *, hot: bool) -> list[Like]:
        """By as many users, of one new post or of thousands."""
        users = list(self.usernames)
        if number > len(users):
            raise SystemExit(f"{number} likes need as many users; there are {len(users)}")
        with primary(self.stack) as connection:
            posts = [row[0] for row in connection.execute(NEW_POSTS, [1 if hot else SPREAD]).fetchall()]
        return [Like(user, random.choice(posts)) for user in random.sample(users, number)]

    def like_requests(self, likes: list[Like]) -> list[Request]:
        tokens = self.tokens([like.user for like in likes])
        return [
            Request(f"/api/v1/posts/{like.post}/like", "PUT", token) for like, token in zip(likes, tokens, strict=True)
        ]

    def post_requests(self) -> list[Request]:
        tokens = self.tokens(random.sample(list(self.usernames), min(POSTS, len(self.usernames))))
        numbers = count(1)
        return [Request("/api/v1/posts", "POST", token, body(next(numbers))) for token in tokens]

    def tokens(self, users: list[UUID]) -> list[str]:
        """Access tokens, in the same order. They live for 15 minutes."""
        lines = (f"{user} {self.usernames[user]}" for user in users)
        return in_write_role(self.stack, ["deploy.bench.submissions", "tokens"], lines).split()


def body(number: int) -> str:
    return f'{{"text": "Post {number} of somebody who has much to say about #topic{number % 50} today."}}'


def primary(stack: Stack) -> psycopg.Connection:
    return psycopg.connect(stack.environment("write")["DATABASE_URL"], autocommit=True)


def in_write_role(stack: Stack, module: list[str], lines: Iterable[str], **environment: str) -> str:
    """Run a module with the write role's environment and these lines as its input; what it prints."""
    surroundings = os.environ | stack.environment("write") | environment
    command = [sys.executable, "-m", *module]
    text = "\n".join(lines) + "\n"
    run = subprocess.run(
        command, cwd=CHECKOUT, env=surroundings, input=text, capture_output=True, text=True, timeout=600
    )
    if run.returncode:
        raise SystemExit(run.stderr)
    return run.stdout
