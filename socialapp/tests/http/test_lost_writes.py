"""A write server that dies with a request in its hands: a problem document for the client, and one effect at most."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from redis import Redis

from socialapp.cqrs import keys
from socialapp.cqrs.ids import PARTITIONS
from socialapp.cqrs.log import BACKLOG
from socialapp.tests.http.checks import refused

WORKERS = ("worker-1", "worker-2", "events-1", "beat")
WRITERS = ("write-1", "write-2")


def processes(stack, program: str) -> list[psutil.Process]:
    server = psutil.Process(stack.pid(program))
    return [server, *server.children(recursive=True)]


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline


@contextmanager
def frozen(stack, programs: tuple[str, ...]) -> Iterator[None]:
    """Commands are accepted and stay pending: whoever waits for them keeps a write server busy."""
    stopped = [process for program in programs for process in processes(stack, program)]
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            process.resume()


@pytest.fixture
def log(stack):
    """Of the stack, not of this process."""
    client = Redis.from_url(stack.environment("worker")["LOG_URL"])
    yield client
    client.close()


def pending(log) -> int:
    return sum(log.eval(BACKLOG, 1, keys.stream(partition)) for partition in range(PARTITIONS))


def kill(stack, program: str) -> None:
    for process in processes(stack, program):
        os.kill(process.pid, signal.SIGKILL)


def test_a_write_is_not_sent_again_when_its_server_dies(stack, user, other_user, log):
    # given three writes that both write servers hold, because no worker applies them
    liked, deleted = (f"/api/v1/posts/{other_user.create_post(text)['id']}" for text in ("liked", "deleted"))
    writes = {
        "POST": lambda: user.post("/api/v1/posts", {"text": "once"}, prefer="wait=10"),
        "PUT": lambda: user.put(f"{liked}/like", prefer="wait=10"),
        "DELETE": lambda: other_user.delete(deleted, prefer="wait=10"),
    }
    answers = {}
    until(lambda: pending(log) == 0)
    with frozen(stack, WORKERS):
        threads = [
            threading.Thread(target=lambda method=method, write=write: answers.update({method: write()}))
            for method, write in writes.items()
        ]
        for thread in threads:
            thread.start()
        until(lambda: pending(log) == 3)
        # when the servers die
        for program in WRITERS:
            kill(stack, program)
        for thread in threads:
            thread.join()
        accepted = pending(log)
    # then each client is told, and nothing stands in the log twice
    for answer in answers.values():
        refused(answer, 502, 503, 504)
    assert accepted == 3
    until(lambda: pending(log) == 0)
    until(lambda: not stack.complaints())
    token = user.create_post("behind all of it")
    posts = user.get(f"/api/v1/users/{user.username}/posts").json()["results"]
    assert sorted(post["text"] for post in posts if post["id"] != token["id"]) == ["once"]
    assert user.get(liked, consistency_token=user.put(f"{liked}/like", prefer="wait=5").token).json()["like_count"] == 1
    assert user.get(deleted).status == 410


def test_whoever_repeats_with_the_same_key_gets_the_first_answer(stack, user, log):
    # given a post whose server died before it answered
    def write():
        return user.post("/api/v1/posts", {"text": "twice asked"}, prefer="wait=10", idempotency_key="k")

    answers = []
    until(lambda: pending(log) == 0)
    with frozen(stack, WORKERS):
        thread = threading.Thread(target=lambda: answers.append(write()))
        thread.start()
        until(lambda: pending(log) == 1)
        for program in WRITERS:
            kill(stack, program)
        thread.join()
    refused(answers[0], 502, 503, 504)
    # when the client does what the problem's text says
    until(lambda: not stack.complaints())
    repeated = write()
    # then there is one post
    assert (repeated.status, repeated.headers["Idempotent-Replayed"]) == (201, "true")
    posts = user.get(f"/api/v1/users/{user.username}/posts", consistency_token=repeated.token).json()["results"]
    assert [post["id"] for post in posts] == [repeated.json()["id"]]
