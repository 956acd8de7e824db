"""`python -m deploy.bench.growth`: do reads get slower as posts grow from 10,000 to a million?

One client, one read at a time at a read pool. *hit*: the cache has it. *miss*: each read is of something that the
cache has not, so that a database answers.
"""

import argparse
import http.client
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import psycopg
from redis import Redis

from deploy.bench.servers import Server, gunicorn, running_stack
from deploy.bench.world import paths_of, seed
from deploy.embedded.environment import database_url
from deploy.embedded.stack import Stack

READS = 400
MOST = 1.5


@dataclass(frozen=True)
class Point:
    """p50 in milliseconds."""

    posts: int
    read: str
    kind: str
    p50: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--output", type=Path, default=Path("var/bench"))
    options = parser.parse_args()
    points = measure(options.posts)
    print(table(points))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "growth.json").write_text(json.dumps([asdict(point) for point in points], indent=1))
    raise SystemExit(any(growth(points, read, kind) > MOST for read, kind in names(points)))


def measure(sizes: list[int]) -> list[Point]:
    found, there = [], 0
    with running_stack() as stack:
        for posts in sizes:
            seed(stack, users=max(50, (posts - there) // 10), posts=posts - there)
            settle(stack)
            there = posts
            with gunicorn(stack, "config.wsgi", workers=1) as server:
                for name, paths in paths_of(stack, READS).items():
                    found += of(stack, server, posts, name, paths)
    return found


def settle(stack: Stack) -> None:
    """Let what follows a bulk load come to its end: vacuum, checkpoint, replay. It would be measured otherwise."""
    with as_superuser(stack, "primary") as primary, as_superuser(stack, "replica") as replica:
        for statement in ("VACUUM ANALYZE", "CHECKPOINT"):
            primary.execute(statement)
        (end,) = primary.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        while not replica.execute("SELECT pg_last_wal_replay_lsn() >= %s", [end]).fetchone()[0]:
            time.sleep(0.1)
        replica.execute("CHECKPOINT")


def as_superuser(stack: Stack, node: str) -> psycopg.Connection:
    url = database_url("postgres", stack.cast.secret.superuser_password, stack.cast.home, node, "socialapp")
    return psycopg.connect(url, autocommit=True)


def of(stack: Stack, server: Server, posts: int, name: str, paths: list[str]) -> list[Point]:
    empty_cache(stack)
    # Twice: the first time finds tables and indexes on disk, the second in the databases' memory.
    timed(server, paths)
    empty_cache(stack)
    return [Point(posts, name, kind, median(timed(server, paths))) for kind in ("miss", "hit")]


def empty_cache(stack: Stack) -> None:
    """Entries only: without the floors every miss would have to ask the primary."""
    cache = Redis.from_url(stack.environment("worker")["CACHE_URL"], socket_timeout=5)
    for key in cache.scan_iter(match="socialapp:v1:*", count=1000):
        if b":floor:" not in key:
            cache.delete(key)


def timed(server: Server, paths: list[str]) -> list[float]:
    """Milliseconds of each read, over one connection."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    found = []
    for path in paths:
        started = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        found.append(1000 * (time.perf_counter() - started))
        if answer.status != 200:
            raise SystemExit(f"{path} answers {answer.status}")
    connection.close()
    return found


def names(points: list[Point]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((point.read, point.kind) for point in points))


def growth(points: list[Point], read: str, kind: str) -> float:
    of_read = [point.p50 for point in points if (point.read, point.kind) == (read, kind)]
    return of_read[-1] / of_read[0]


def table(points: list[Point]) -> str:
    sizes = list(dict.fromkeys(point.posts for point in points))
    lines = [f"{'p50, ms':24}" + "".join(f"{size:>12,}" for size in sizes) + f"{'growth':>9}  (at most {MOST})"]
    for read, kind in names(points):
        values = [point.p50 for point in points if (point.read, point.kind) == (read, kind)]
        line = f"{read + ', ' + kind:24}" + "".join(f"{value:>12.2f}" for value in values)
        lines.append(line + f"{growth(points, read, kind):>9.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
