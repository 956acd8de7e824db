"""A client of a gateway under test, with the scripted origins behind it. Used by the fixtures in `conftest`."""

import http.client
import json
import socket
from dataclasses import dataclass, field
from pathlib import Path

from deploy.tests.origin import Origin

POOLS = ("read-1", "read-2", "write-1", "write-2")


@dataclass
class Reply:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def cache(self) -> str:
        return (self.headers.get_all("Cache-Status") or [""])[-1]


@dataclass
class Gateway:
    port: int
    static: Path
    origins: dict[str, Origin] = field(default_factory=dict)

    def __call__(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        reply = Reply(answer.status, answer.headers, answer.read())
        connection.close()
        return reply

    def raw(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def seen(self, pool: str) -> list:
        return [request for name in POOLS if name.startswith(pool) for request in self.origins[name].seen]

    def answer(self, pool: str, answer) -> None:
        for name in POOLS:
            if name.startswith(pool):
                self.origins[name].answer = answer if callable(answer) else lambda _: answer


def problem(reply: Reply) -> dict:
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.headers["X-Request-ID"]
    document = json.loads(reply.body)
    assert document["status"] == reply.status
    assert {"type", "title", "status", "detail", "code"} == document.keys()
    return document
