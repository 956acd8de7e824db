"""A cache that accepts and never answers, and one that is gone: reads go on from the databases."""

import os
import signal
import time
from contextlib import contextmanager

from socialapp.tests.client import Answer, Api

# Seconds; as config/settings/caches.py has it for the read pool.
CACHE_TIMEOUT = 0.05


@contextmanager
def frozen(pid: int):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_frozen_cache_costs_no_failed_read(stack, user):
    post = user.create_post("thaw")
    reader = Api(stack.socket("read-1"))
    paths = [f"/api/v1/posts/{post['id']}", f"/api/v1/users/{user.username}/posts"]
    with frozen(stack.pid("valkey-cache")):
        timed = [timed_get(reader, path) for _ in range(20) for path in paths]
    answers, seconds = zip(*timed, strict=True)
    assert [answer.status for answer in answers] == [200] * 40
    assert b"thaw" in answers[0].body and b"thaw" in answers[1].body
    # Without the breaker even the fastest would have waited for a timeout.
    assert sorted(seconds)[10] < CACHE_TIMEOUT


def timed_get(reader: Api, path: str) -> tuple[Answer, float]:
    started = time.monotonic()
    return reader.get(path), time.monotonic() - started


def test_a_write_while_the_cache_is_frozen_is_read_back_and_stays_read_after_it_thaws(stack, user):
    path = f"/api/v1/posts/{user.create_post('before')['id']}"
    assert b"before" in user.get(path).body
    with frozen(stack.pid("valkey-cache")):
        edited = user.patch(path, {"text": "after"}, prefer="wait=10")
        assert edited.status == 200, edited.body
        assert b"after" in user.get(path, consistency_token=edited.token).body
    assert b"after" in user.get(path, consistency_token=edited.token).body
