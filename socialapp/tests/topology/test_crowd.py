"""A crowd of misses: more at a time than there are connections to a database."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from socialapp.tests.client import Api

CROWD = 150


def test_misses_wait_for_one_another_and_none_fails(stack, user):
    posts = [user.post("/api/v1/posts", {"text": f"number {n}"}).json()["resource"]["id"] for n in range(CROWD)]
    assert user.post("/api/v1/posts", {"text": "the last"}, prefer="wait=10").status == 201
    entries = Redis.from_url(stack.environment("worker")["CACHE_URL"])
    for key in entries.scan_iter(match="socialapp:v1:posts:*", count=1000):
        entries.delete(key)
    paths = [f"/api/v1/posts/{post}" for post in posts] + [f"/api/v1/posts/{post}/comments" for post in posts]
    with ThreadPoolExecutor(2 * CROWD) as crowd:
        statuses = list(crowd.map(lambda path: Api(stack.socket("read-1")).get(path).status, paths))
    assert statuses == [200] * 2 * CROWD
    used = Api(stack.socket("read-1")).get("/health/ready").json()["dependencies"]["replica1"]
    assert used["used"], f"that all connections were busy is no failure of the replica: {used}"


# All connections of the pool are held. A thread waits for one and then the main thread does; the first gets one.
FULL_POOL = """
import os, sys, threading, django; django.setup()
from django.db import Error, connections
from socialapp.cqrs import servers

servers.look("replica1")
pool = connections["replica1"].pool
connections["replica1"].close()
held = [pool.getconn() for _ in range(16)]
ask, asked, done = servers._ask, [], threading.Event()

def asking(alias):
    asked.append(threading.current_thread())
    if asked.count(threading.main_thread()) == 2:
        give_back(16)
    return ask(alias)

def give_back(number):
    for connection in held[:number]:
        pool.putconn(connection)
    del held[:number]

def wait_until_waiting(number):
    while pool.get_stats().get("requests_waiting", 0) < number:
        done.wait(0.01)

def look_and_keep():
    servers.look("replica1")
    done.wait()

def serve_first():
    wait_until_waiting(2)
    give_back({served})

servers._ask = asking
threading.Thread(target=look_and_keep, daemon=True).start()
wait_until_waiting(1)
threading.Thread(target=serve_first, daemon=True).start()
try:
    print(servers.look("replica1").alias, asked.count(threading.main_thread()))
except Error as error:
    print(type(error.__cause__).__name__, asked.count(threading.main_thread()))
sys.stdout.flush(); os._exit(0)
"""


@pytest.mark.parametrize(("served", "outcome"), [(1, "replica1 2"), (0, "PoolTimeout 1")])
def test_a_server_that_answers_others_is_not_taken_for_dead(stack, served, outcome):
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= stack.environment("read") | {"DJANGO_SETTINGS_MODULE": "config.settings", "REPLICA_TIMEOUT": "2"}
    command = [sys.executable, "-c", FULL_POOL.replace("{served}", str(served))]
    run = subprocess.run(
        command, env=environment, cwd=stack.layout.checkout, capture_output=True, text=True, timeout=60
    )
    assert run.stdout.strip() == outcome, run.stderr
