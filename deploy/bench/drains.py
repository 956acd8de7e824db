"""How fast accepted likes are applied: a backlog, drained by four worker processes. Ours out of the command log, a
Celery task each out of its queue, and the statements of the synchronous peer alone, without any queue.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from redis import Redis

from deploy.bench.crowd import Like, in_write_role, primary
from deploy.bench.servers import CHECKOUT, cpu_seconds
from deploy.embedded import supervision
from deploy.embedded.stack import Stack
from socialapp.cqrs import keys
from socialapp.cqrs.ids import PARTITIONS

WORKERS = ("worker-1", "worker-2")
# Each worker of the stack has two processes.
PROCESSES = 2 * len(WORKERS)
DATABASES = ("postgres-primary", "postgres-replica")
# What works for a write behind the web server.
BACKENDS = (*DATABASES, *WORKERS, "events-1", "beat", "valkey-log", "valkey-state", "valkey-cache")
# Seconds.
PAUSE, PATIENCE = 0.02, 300

UNREAD = """
    SELECT EXISTS (SELECT FROM cqrs_consumeroffset AS read, LATERAL (
        SELECT xid, position FROM cqrs_event ORDER BY cqrs_event.xid DESC, cqrs_event.position DESC LIMIT 1) AS last
    WHERE (read.xid, read.position) < (last.xid, last.position))
"""


@dataclass(frozen=True)
class Drained:
    """rate: likes applied per second, from the first to the last. cpu_ms: of all that worked on one."""

    rate: float
    cpu_ms: float


def ours(stack: Stack, likes: list[Like]) -> Drained:
    """Out of the command log, by the stack's own workers; CPU until the event consumers have followed, too."""
    with stopped(stack):
        in_write_role(stack, ["deploy.bench.submissions", "likes"], lines(likes))
        progress = Progress(stack, likes)
    return progress.drained(lambda: pids(stack, BACKENDS), lambda: wait_until_at_rest(stack))


def celery_per_message(stack: Stack, likes: list[Like]) -> Drained:
    environment = peer_environment(stack)
    in_write_role(stack, ["deploy.bench.peers.tasks"], lines(likes), **environment)
    options = ["-c", "2", "-l", "ERROR", "--without-gossip", "--without-mingle"]
    command = ["celery", "-A", "deploy.bench.peers.tasks", "worker", *options]
    commands = [[*command, "-n", f"peer-{number}@%h"] for number in range(PROCESSES // 2)]
    return drained_by(stack, likes, commands, (*DATABASES, "valkey-state"))


def statements_alone(stack: Stack, likes: list[Like]) -> Drained:
    command = ["deploy.bench.peers.direct", str(PROCESSES)]
    return drained_by(stack, likes, [command], DATABASES, "\n".join(lines(likes)))


def drained_by(stack: Stack, likes: list[Like], modules: list[list[str]], programs, text: str = "") -> Drained:
    """By processes of a peer, started now with `text` as their input; and by these programs of the stack."""
    progress = Progress(stack, likes)
    surroundings = os.environ | stack.environment("write") | peer_environment(stack)
    commands = [[sys.executable, "-m", *module] for module in modules]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "text": True}
    running = [subprocess.Popen(command, cwd=CHECKOUT, env=surroundings, **pipes) for command in commands]
    try:
        for process in running:
            process.stdin.write(text)
            process.stdin.close()
        return progress.drained(lambda: [*pids(stack, programs), *(process.pid for process in running)])
    finally:
        for process in running:
            process.terminate()
            process.wait(timeout=30)


class Progress:
    """How many of these likes the database has. Their row ids rise by one each, as nobody else writes likes."""

    def __init__(self, stack: Stack, likes: list[Like]):
        self.likes = likes
        self.connection = primary(stack)
        self.before = self._last()

    def drained(self, workers: Callable[[], list[int]], at_rest: Callable = lambda: None) -> Drained:
        """Watch until all are there. workers: process ids; at_rest: waits until nothing is left to do."""
        first, started = self._wait_for(1)
        processes = workers()
        used = cpu_seconds(processes)
        last, ended = self._wait_for(len(self.likes))
        at_rest()
        used = cpu_seconds(processes) - used
        self._require_exact()
        return Drained((last - first) / (ended - started), 1000 * used / (last - first))

    def _wait_for(self, number: int) -> tuple[int, float]:
        """(how many there are, when that was), once there are so many."""
        deadline = time.monotonic() + PATIENCE
        while (found := self._last() - self.before) < number:
            if time.monotonic() > deadline:
                raise SystemExit(f"{found} of {len(self.likes)} likes applied after {PATIENCE} s")
            time.sleep(PAUSE)
        return found, time.monotonic()

    def _last(self) -> int:
        return self.connection.execute("SELECT coalesce(max(id), 0) FROM posts_like").fetchone()[0]

    def _require_exact(self) -> None:
        """A rate counts only if no like was lost or doubled."""
        posts = list({like.post for like in self.likes})
        counted = "SELECT sum(like_count) FROM posts_post WHERE id = ANY(%s)"
        (found,) = self.connection.execute(counted, [posts]).fetchone()
        if found != len(self.likes):
            raise SystemExit(f"{len(self.likes)} likes were to be applied; the posts say {found}")


@contextmanager
def stopped(stack: Stack, programs: tuple[str, ...] = WORKERS) -> Iterator[None]:
    """Without these programs; returns to the body when they have ended."""
    for program in programs:
        supervision.rpc(stack.layout).stopProcess(f"app:{program}")
    try:
        yield
    finally:
        for program in programs:
            supervision.rpc(stack.layout).startProcess(f"app:{program}", False)


def pids(stack: Stack, programs: tuple[str, ...]) -> list[int]:
    return [stack.pid(program) for program in programs]


def lines(likes: list[Like]) -> list[str]:
    return [f"{like.user} {like.post}" for like in likes]


def peer_environment(stack: Stack) -> dict[str, str]:
    """The peer's queue is in the same Valkey as the stack's, in a database of its own."""
    return {"PEER": "writes", "PEER_BROKER_URL": stack.environment("write")["STATE_URL"].replace("db=0", "db=5")}


def wait_until_at_rest(stack: Stack) -> float:
    """Until no command waits and every consumer has read every event; the seconds that the commands took."""
    started = time.monotonic()
    while waiting(stack):
        time.sleep(PAUSE)
    took = time.monotonic() - started
    with primary(stack) as connection:
        while connection.execute(UNREAD).fetchone()[0]:
            time.sleep(5 * PAUSE)
    return took


def waiting(stack: Stack) -> int:
    """Commands that are accepted, but not applied."""
    log = Redis.from_url(stack.environment("write")["LOG_URL"], socket_timeout=5)
    pipeline = log.pipeline(transaction=False)
    for partition in range(PARTITIONS):
        pipeline.xinfo_groups(keys.stream(partition))
    answers = pipeline.execute(raise_on_error=False)
    return sum(group["lag"] + group["pending"] for answer in answers if isinstance(answer, list) for group in answer)
