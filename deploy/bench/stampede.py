"""`python -m deploy.bench.stampede`: a popular entry disappears under 256 connections; how many queries is that?

The entry of one post is deleted now and then, while all connections ask for it at a read pool. Each time, one of
them may ask a database; Postgres counts the statements.
"""

import argparse
import threading
import time

import psycopg
from redis import Redis

from deploy.bench.load import Measured, wrk
from deploy.bench.read_hit import hot_path
from deploy.bench.servers import gunicorn, require_wrk, running_stack
from deploy.bench.world import seed
from deploy.embedded.environment import database_url
from deploy.embedded.stack import Stack
from socialapp.cqrs import keys

STATEMENTS = """
    SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements(true)
    WHERE query LIKE '%FROM "posts_post"%' AND query NOT LIKE '%pg_stat_statements%'
"""
PAUSE = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10, help="how often the entry is deleted")
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    require_wrk()
    with running_stack() as stack:
        seed(stack, users=100, posts=500)
        queries, load = measure(stack, options.times, options.connections, options.workers)
    print(f"{options.connections} connections, {load.rate:.0f} reads/s, p99 {load.p99:.1f} ms")
    print(f"the entry was deleted {options.times} times: {queries} queries")
    raise SystemExit(queries > options.times)


def measure(stack: Stack, times: int, connections: int, workers: int) -> tuple[int, Measured]:
    """(queries for the post, what the load generator saw)."""
    path = hot_path(stack)
    with gunicorn(stack, "config.wsgi", workers=workers) as server:
        # A first read of each process makes its connections.
        wrk(server.url, [path], connections=connections, seconds=2)
        before = queries(stack)
        deleting = threading.Thread(target=delete_now_and_then, args=(stack, path.rpartition("/")[2], times))
        deleting.start()
        load = wrk(server.url, [path], connections=connections, seconds=int(PAUSE * (times + 2)))
        deleting.join()
        return queries(stack) - before, load


def delete_now_and_then(stack: Stack, post_id: str, times: int) -> None:
    cache = Redis.from_url(stack.environment("worker")["CACHE_URL"], socket_timeout=5)
    for _ in range(times):
        time.sleep(PAUSE)
        cache.delete(keys.entry("posts", "entity", post_id))


def queries(stack: Stack) -> int:
    """Statements that asked for posts so far, on the primary and the replica."""
    return sum(count(stack, node) for node in ("primary", "replica"))


def count(stack: Stack, node: str) -> int:
    url = database_url("postgres", stack.cast.secret.superuser_password, stack.cast.home, node, "postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        if node == "primary":
            connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        return connection.execute(STATEMENTS).fetchone()[0]


if __name__ == "__main__":
    main()
