"""What the primary holds of a ledger's writes, read in one snapshot: results, rows, events, dead letters."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg

from deploy.chaos.ledger import Ledger, accepted, first_marker

# Values per question.
BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Result:
    """outcome: applied, rejected or failed. code: of the problem."""

    command_id: str
    outcome: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Post:
    id: str
    text: str
    likes: int
    comments: int
    version: int


@dataclass(frozen=True, slots=True)
class Comment:
    id: str
    post: str
    text: str
    deleted: bool


@dataclass(frozen=True, slots=True)
class Event:
    command_id: str
    type: str


@dataclass
class Effects:
    """results: by key. likes: by (post, user), whether the user likes it. events: of all posts, each's in their order.

    dead_letters: accepted writes that ended as such; there should be none.
    """

    results: dict[str, Result] = field(default_factory=dict)
    posts: list[Post] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    likes: dict[tuple[str, str], bool] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    dead_letters: int = 0

    def posts_by_marker(self) -> dict[str, list[Post]]:
        found = defaultdict(list)
        for post in self.posts:
            found[first_marker(post.text)].append(post)
        return found

    def comments_by_marker(self) -> dict[str, list[Comment]]:
        found = defaultdict(list)
        for comment in self.comments:
            found[comment.text].append(comment)
        return found


def read(url: str, ledger: Ledger) -> Effects:
    """All that the clients of `ledger` have done. url: of the primary."""
    with psycopg.connect(url, connect_timeout=5, options="-c statement_timeout=60s") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return _read(connection, ledger)


def _read(connection: psycopg.Connection, ledger: Ledger) -> Effects:
    actors = sorted({write.actor for write in ledger})
    posts = [
        Post(*row)
        for row in _rows(
            connection,
            "SELECT id::text, text, like_count, comment_count, version FROM posts_post WHERE author_id = ANY(%s)",
            actors,
        )
    ]
    return Effects(
        results=_results(connection, actors),
        posts=posts,
        comments=_comments(connection, actors),
        likes=_likes(connection, actors),
        events=_events(connection, [post.id for post in posts]),
        dead_letters=_dead_letters(connection, [write.command_id for write in accepted(ledger)]),
    )


def _results(connection: psycopg.Connection, actors: list[str]) -> dict[str, Result]:
    sql = """
        SELECT idempotency_key, id::text, outcome, coalesce(problem->>'code', '') FROM cqrs_commandresult
        WHERE actor_id = ANY(%s) AND idempotency_key IS NOT NULL
    """
    return {key: Result(*row) for key, *row in _rows(connection, sql, actors)}


def _comments(connection: psycopg.Connection, actors: list[str]) -> list[Comment]:
    sql = """
        SELECT id::text, post_id::text, text, deleted_at IS NOT NULL FROM posts_comment WHERE author_id = ANY(%s)
    """
    return [Comment(*row) for row in _rows(connection, sql, actors)]


def _likes(connection: psycopg.Connection, actors: list[str]) -> dict[tuple[str, str], bool]:
    sql = "SELECT post_id::text, user_id::text, active FROM posts_like WHERE user_id = ANY(%s)"
    return {(post, user): active for post, user, active in _rows(connection, sql, actors)}


def _events(connection: psycopg.Connection, posts: list[str]) -> list[Event]:
    sql = """
        SELECT command_id::text, type FROM cqrs_event WHERE aggregate_id = ANY(%s)
        ORDER BY aggregate_id, aggregate_version
    """
    return [Event(*row) for row in _rows(connection, sql, posts)]


def _dead_letters(connection: psycopg.Connection, commands: list[str]) -> int:
    sql = "SELECT command_id::text FROM cqrs_deadletter WHERE command_id = ANY(%s)"
    return sum(1 for _ in _rows(connection, sql, commands))


def _rows(connection: psycopg.Connection, sql: str, wanted: list[str]) -> Iterator[tuple]:
    """sql: with one %s, for an array of ids."""
    cast = sql.replace("ANY(%s)", "ANY(%s::uuid[])")
    for start in range(0, len(wanted), BATCH):
        yield from connection.execute(cast, [wanted[start : start + BATCH]])
