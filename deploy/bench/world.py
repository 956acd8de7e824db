"""The world that is measured: seeded rows, and lists of paths over them with Zipf popularity."""

import os
import random
import subprocess
import sys
from dataclasses import dataclass

import psycopg

from deploy.bench.servers import CHECKOUT
from deploy.embedded.stack import Stack

# Requests per list; wrk goes round it.
SAMPLES = 20_000
# How many of the most popular are drawn from.
RANKS = 20_000


@dataclass(frozen=True)
class World:
    """Paths to ask for, by the name of the scenario."""

    scenarios: dict[str, list[str]]


def seed(stack: Stack, *, users: int, posts: int) -> None:
    environment = os.environ | stack.environment("worker")
    command = [sys.executable, "manage.py", "seed", "--users", str(users), "--posts", str(posts)]
    subprocess.run(command, cwd=CHECKOUT, env=environment, check=True, timeout=1800)


def world(stack: Stack) -> World:
    """Ranked by likes, which `seed` has drawn from a Zipf distribution."""
    with psycopg.connect(stack.environment("read")["DATABASE_READ_URL"]) as connection:
        posts = column(connection, "SELECT id FROM posts_post ORDER BY like_count DESC, id LIMIT %s")
        commented = column(
            connection, "SELECT id FROM posts_post WHERE comment_count >= 20 ORDER BY like_count DESC, id LIMIT %s"
        )
        authors = column(
            connection, "SELECT username FROM accounts_user WHERE post_count >= 20 ORDER BY post_count DESC LIMIT %s"
        )
    return World(
        {
            "hot post": [f"/api/v1/posts/{posts[0]}"],
            "zipf posts": zipf([f"/api/v1/posts/{post}" for post in posts]),
            "comments": zipf([f"/api/v1/posts/{post}/comments" for post in commented]),
            "user timeline": zipf([f"/api/v1/users/{author}/posts" for author in authors]),
        }
    )


def column(connection: psycopg.Connection, sql: str) -> list:
    return [row[0] for row in connection.execute(sql, [RANKS]).fetchall()]


def zipf(paths: list[str]) -> list[str]:
    """Drawn with weight 1/rank, always the same for the same paths."""
    weights = [1 / rank for rank in range(1, len(paths) + 1)]
    return random.Random(1).choices(paths, weights, k=SAMPLES)
