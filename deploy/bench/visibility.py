"""From the 202 of a new post until it can be read: a GET through the gateway that presents the 202's token says 200.

Such a GET waits inside the read pool for the command, and then reads the cache, a replica that has it, or the
primary; so what is measured is what a client sees that reads its own write at once.
"""

import http.client
import json
import time
from dataclasses import dataclass
from statistics import median, quantiles
from threading import Thread
from urllib.parse import urlsplit

from deploy.bench.load import Request

# Seconds.
TIMEOUT = 30
PROBERS = 4


@dataclass(frozen=True)
class Visible:
    """Milliseconds. writes: how many were watched."""

    p50: float
    p99: float
    writes: int


class Probers:
    """Write `rate` posts per second for so many seconds, each followed by reads of it until it is there."""

    def __init__(self, write_url: str, read_url: str, requests: list[Request], *, rate: float, seconds: float):
        self.took: list[float] = []
        self.failures: list[str] = []
        self._urls = write_url, read_url
        self._started = 0.0
        due = [number / rate for number in range(int(rate * seconds))]
        plan = list(zip(due, requests, strict=False))
        if len(plan) < len(due):
            raise SystemExit(f"{len(due)} writes need as many requests; there are {len(plan)}")
        self._threads = [Thread(target=self._probe, args=[plan[start::PROBERS]]) for start in range(PROBERS)]

    def watch(self) -> Visible:
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()
        if self.failures or len(self.took) < 2:
            raise SystemExit("\n".join(self.failures[:3]) or "nothing was watched")
        cuts = quantiles(self.took, n=100, method="inclusive")
        return Visible(median(self.took), cuts[98], len(self.took))

    def _probe(self, plan: list[tuple[float, Request]]) -> None:
        write, read = (http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT) for url in self._urls)
        for due, request in plan:
            time.sleep(max(0.0, self._started + due - time.monotonic()))
            self.took.append(1000 * self._until_visible(write, read, request))
        write.close()
        read.close()

    def _until_visible(self, write, read, request: Request) -> float:
        headers = {"Authorization": f"Bearer {request.token}", "Content-Type": "application/json"}
        status, answer = exchange(write, "POST", request.path, request.body, headers)
        accepted = time.monotonic()
        if status != 202:
            self.failures.append(f"{status} {answer.text}")
            return 0.0
        path, token = f"/api/v1/posts/{answer.document['resource']['id']}", {"Consistency-Token": answer.token}
        while time.monotonic() < accepted + TIMEOUT:
            status, answer = exchange(read, "GET", path, None, token)
            if status == 200:
                return time.monotonic() - accepted
        self.failures.append(f"not there after {TIMEOUT} s: {status}")
        return 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    token: str | None

    @property
    def document(self) -> dict:
        return json.loads(self.text)


def exchange(connection, method: str, path: str, body: str | None, headers: dict) -> tuple[int, Answer]:
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, Answer(answer.read().decode(), answer.headers.get("Consistency-Token"))
