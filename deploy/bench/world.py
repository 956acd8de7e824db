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


def seed(stack: Stack, *, users: int, posts: int, products: int = 200) -> None:
    environment = os.environ | stack.environment("worker")
    command = [sys.executable, "manage.py", "seed", "--users", str(users), "--posts", str(posts)]
    command += ["--products", str(products)]
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


def paths_of(stack: Stack, reads: int) -> dict[str, list[str]]:
    """Distinct paths by the name of the read, from all over the tables, `reads` of each."""
    with psycopg.connect(stack.environment("read")["DATABASE_READ_URL"]) as connection:
        # Ids are random enough in their last digits to be as good as a sample.
        posts = column(connection, "SELECT id FROM posts_post ORDER BY substr(id::text, 30), id LIMIT %s", reads)
        comments = column(connection, "SELECT id FROM posts_comment ORDER BY substr(id::text, 30), id LIMIT %s", reads)
        names = column(connection, "SELECT username FROM accounts_user ORDER BY substr(id::text, 30) LIMIT %s", reads)
    api = "/api/v1"
    return {
        "post": [f"{api}/posts/{post}" for post in posts],
        "comment": [f"{api}/comments/{comment}" for comment in comments],
        "user": [f"{api}/users/{name}" for name in names],
        "comments of a post": [f"{api}/posts/{post}/comments" for post in posts],
        "likes of a post": [f"{api}/posts/{post}/likes" for post in posts],
        "user timeline": [f"{api}/users/{name}/posts" for name in names],
        "public timeline": [f"{api}/timelines/public?limit={1 + n % 50}" for n in range(reads)],
    }


def column(connection: psycopg.Connection, sql: str, limit: int = RANKS) -> list:
    return [row[0] for row in connection.execute(sql, [limit]).fetchall()]


def zipf(paths: list[str]) -> list[str]:
    """Drawn with weight 1/rank, always the same for the same paths."""
    weights = [1 / rank for rank in range(1, len(paths) + 1)]
    return random.Random(1).choices(paths, weights, k=SAMPLES)
