"""Clients that write without pause and as API.md tells them to: whoever gets no final answer asks again with the same
Idempotency-Key. Each waits for an answer before its next write, so that the order of its writes is known.
"""

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from threading import Event, Thread

from deploy.chaos.ledger import SEPARATOR, Ledger, Write
from deploy.chaos.load import connect
from socialapp.tests.client import Api, register

API = "/api/v1"
# Seconds. The gateway gives a server up after 15.
TIMEOUT = 20.0
# Seconds between two writes of a client, and before a repeat that was told no other time.
PAUSE = 0.2
RETRY = 0.25
MOST_TRIES = 60
# Seconds after the end of the load at which a client gives up a write that nobody has answered.
PATIENCE = 60.0
AGAIN = {"429", "500", "502", "503", "504"}


@dataclass
class Client:
    """A user, and the writes that it wants one after the other. hot: ids of posts that all clients like and unlike.

    keeps_token: whether it presents the Consistency-Token of its last write, which few programs do.
    """

    name: str
    api: Api
    actor: str
    hot: list[str]
    keeps_token: bool
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def script(self) -> Iterator[Write]:
        """Endless; each write has its answer when the next one is asked for."""
        own = self._create("own")
        yield own
        for turn in itertools.count():
            post = self._create(f"post {turn}")
            yield post
            comment = self._comment(post, f"comment {turn}")
            yield comment
            for half in (0, 1):
                yield self._edit(own, 2 * turn + half)
                favourite = self.hot[turn % len(self.hot)]
                yield self._like(favourite, "PUT", "like")
                if turn // len(self.hot) % 2:
                    yield self._like(favourite, "DELETE", "unlike")
            if turn % 2:
                yield self._withdraw(comment)

    def _create(self, what: str) -> Write:
        marker = f"{self.name} {what}"
        return self._write("create", "POST", "/posts", line=marker, marker=marker, text=marker)

    def _edit(self, own: Write, turn: int) -> Write:
        text, post = f"{own.marker}{SEPARATOR}edit {turn}", own.resource_id
        return self._write("edit", "PATCH", f"/posts/{post}", line=own.line, post=post, marker=own.marker, text=text)

    def _comment(self, post: Write, what: str) -> Write:
        marker, on = f"{self.name} {what}", post.resource_id
        path = f"/posts/{on}/comments"
        return self._write("comment", "POST", path, line=marker, post=on, marker=marker, text=marker)

    def _withdraw(self, comment: Write) -> Write:
        path = f"/comments/{comment.resource_id}"
        told = {"line": comment.line, "post": comment.post, "marker": comment.marker}
        return self._write("withdraw", "DELETE", path, **told)

    def _like(self, post: str, method: str, kind: str) -> Write:
        return self._write(kind, method, f"/posts/{post}/like", line=f"like of {post}", post=post)

    def _write(self, kind: str, method: str, path: str, **told: str) -> Write:
        number = next(self.numbers)
        return Write(f"{self.name}-{number}", kind, self.actor, number, method=method, path=API + path, **told)


class Writers:
    """Threads, one per client. What they want and get is in `ledger`, also while they write."""

    def __init__(self, at: str, clients: list[Client]):
        self.ledger: Ledger = []
        self._at, self._end = at, Event()
        self._give_up = float("inf")
        self._threads = [Thread(target=self._run, args=(client,), daemon=True) for client in clients]

    @contextmanager
    def writing(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._give_up = time.time() + PATIENCE
            self._end.set()
            for thread in self._threads:
                thread.join()

    def _run(self, client: Client) -> None:
        connection = connect(self._at, timeout=TIMEOUT)
        headers = {"Accept": "application/json", "Content-Type": "application/json", **client.api.headers}
        for write in client.script():
            self.ledger.append(write)
            self._insist(connection, write, headers)
            if not write.accepted or self._end.wait(PAUSE):
                break
            if not client.keeps_token:
                headers.pop("Consistency-Token", None)
        connection.close()

    def _insist(self, connection: HTTPConnection, write: Write, headers: dict) -> None:
        """Ask until there is a final answer."""
        while time.time() < self._give_up:
            answer, pause = send(connection, write, headers)
            if answer == "202":
                return
            if answer.isdigit() and answer not in AGAIN:
                write.refused = answer
                return
            write.answers.append(answer)
            time.sleep(pause)


def send(connection: HTTPConnection, write: Write, headers: dict) -> tuple[str, float]:
    """One request: what came of it (a status, or an exception's name), and the seconds to wait before a repeat.

    A 202 is noted in `write`, and its token in `headers`.
    """
    body = json.dumps({"text": write.text}) if write.text else None
    try:
        connection.request(write.method, write.path, body, headers | {"Idempotency-Key": write.key})
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, HTTPException) as error:
        connection.close()
        return type(error).__name__, RETRY
    if answer.status == 202:
        note(write, answer, json.loads(content), headers)
    return str(answer.status), min(2.0, float(answer.headers.get("Retry-After", RETRY)))


def note(write: Write, answer: HTTPResponse, document: dict, headers: dict) -> None:
    write.command_id, write.resource_id = document["command"]["id"], document["resource"]["id"]
    write.accepted = time.time()
    headers["Consistency-Token"] = answer.headers["Consistency-Token"]


def sign_up(at: str, name: str, *, number: int, hot: int) -> list[Client]:
    """New users, so that whatever they are found to have done is of this load. name: unique to it."""
    apis = [registered(at) for _ in range(number)]
    posts = [apis[0].create_post(f"{name} hot {n}")["id"] for n in range(hot)]
    actors = [api.get(f"{API}/me").json()["id"] for api in apis]
    return [
        Client(f"{name}-{n}", api, actor, posts, keeps_token=n % 2 == 0)
        for n, (api, actor) in enumerate(zip(apis, actors, strict=True))
    ]


def registered(at: str) -> Api:
    """Registering is not accepted into the log: it fails at each connection that an earlier fault has broken."""
    for _ in range(MOST_TRIES):
        with suppress(AssertionError):
            return register(at)
        time.sleep(RETRY)
    raise SystemExit("nobody can be registered")
