"""Readers that never stop: threads that GET one path after the other, and write down each answer. No retries.

Each waits for its answer before it asks again, and a little longer, so that the machine is busy but not full: what
is measured is what a fault costs, not how many requests fit.
"""

import http.client
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

from socialapp.tests.client import UnixConnection

# Seconds.
PAUSE = 0.02
TIMEOUT = 20.0
READERS = 8


@dataclass(frozen=True, slots=True)
class Sample:
    """One GET. started: time.monotonic(). seconds: until the whole body was there. failure: "" if that was a 200.
    stale: the gateway answered with a copy past its lifetime."""

    where: str
    started: float
    seconds: float
    failure: str
    stale: bool = False


class Readers:
    """at: where they read, by name: a URL, or the path of a server's unix socket."""

    def __init__(self, at: dict[str, str | Path], paths: list[str]):
        self.samples: list[Sample] = []
        self._end = Event()
        shares = [paths[start::READERS] for start in range(READERS)]
        self._threads = [Thread(target=self._read, args=(name, at[name], share)) for name in at for share in shares]

    def _read(self, where: str, at: str | Path, paths: list[str]) -> None:
        connection = connect(at)
        for path in itertools.cycle(paths):
            if self._end.wait(PAUSE):
                break
            self.samples.append(get(connection, where, path))
        connection.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._end.set()
            for thread in self._threads:
                thread.join()


def connect(at: str | Path, *, timeout: float = TIMEOUT) -> http.client.HTTPConnection:
    if isinstance(at, Path):
        return UnixConnection(at, timeout=timeout)
    address = urlsplit(at)
    return http.client.HTTPConnection(address.hostname, address.port, timeout=timeout)


def get(connection: http.client.HTTPConnection, where: str, path: str) -> Sample:
    started = time.monotonic()
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return Sample(where, started, time.monotonic() - started, f"{path}: {error!r}")
    failure = "" if answer.status == 200 else f"{path}: {answer.status} {body[:300].decode(errors='replace')}"
    stale = "stale" in answer.headers.get("Cache-Status", "").partition("detail=")[2]
    return Sample(where, started, time.monotonic() - started, failure, stale)
