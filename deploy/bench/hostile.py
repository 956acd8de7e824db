"""What expensive requests of strangers cost another client: its POSTs are timed while they come all at once.

36 bodies of 92 KB with 10,000 names each, for which nobody has to sign in, and 24 searches, in one wave per second.
"""

import json
import secrets
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from statistics import quantiles

from deploy.bench.bars import Bar
from deploy.bench.crowd import Crowd
from deploy.embedded.stack import Stack
from socialapp.tests.client import Api

BODIES, SEARCHES = 36, 24
SIZE = 92_000
WORDS = ("-ships -made", "made -ships", '"made of"', "made or -ships")
# POSTs per second of the client that is timed.
RATE = 20


@dataclass(frozen=True)
class Found:
    """Milliseconds. answers: how many strangers got each status."""

    posts: int
    p50: float
    p99: float
    answers: dict[int, int]


def measure(stack: Stack, *, seconds: int) -> Found:
    """Each wave begins when it is due, whatever became of those before."""
    url = f"http://127.0.0.1:{stack.port}"
    crowd = Crowd.of(stack)
    (token,) = crowd.tokens(list(crowd.usernames)[:1])
    client = Api(url, headers={"Authorization": f"Bearer {token}"})
    answers: Counter[int] = Counter()
    with ThreadPoolExecutor(2 * (BODIES + SEARCHES)) as strangers:
        began, took = time.monotonic(), []
        for number in range(RATE * seconds):
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
            if number % RATE == 0:
                wave(strangers, Api(url), answers)
            took.append(1000 * timed_post(client, number))
    cuts = quantiles(took, n=100, method="inclusive")
    return Found(len(took), cuts[49], cuts[98], dict(answers))


def wave(strangers: ThreadPoolExecutor, api: Api, answers: Counter[int]) -> None:
    def send(number: int) -> None:
        if number < BODIES:
            answer = api.request("POST", "/api/v1/auth/token", body(), Content_Type="application/json")
        else:
            answer = api.get(f"/api/v1/products?q={WORDS[number % len(WORDS)].replace(' ', '+')}&limit={number}")
        answers[answer.status] += 1

    for number in range(BODIES + SEARCHES):
        strangers.submit(send, number)


def body() -> bytes:
    """The last name comes twice."""
    names = [f'"{number:x}":0' for number in range(SIZE // 9)]
    return f"{{{','.join([*names, names[0]])}}}".encode()


def timed_post(client: Api, number: int) -> float:
    began = time.monotonic()
    answer = client.post("/api/v1/posts", {"text": f"Post {number} {secrets.token_hex(4)}"})
    if answer.status != 202:
        raise SystemExit(f"a POST of the client that is timed was answered {answer.status}: {answer.body[:300]}")
    return time.monotonic() - began


def bars_of(found: Found) -> list[Bar]:
    return [
        Bar("another client's POST: p99, ms", 1000, found.p99, True),
        Bar("strangers' requests that failed (5xx but 503)", 0, _failed(found), True),
    ]


def _failed(found: Found) -> int:
    return sum(count for status, count in found.answers.items() if status >= 500 and status != 503)


def to_json(found: Found) -> str:
    return json.dumps(asdict(found), indent=1)
