"""A replica of the whole stack that is behind by so many seconds, and clients that read back what they write."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from deploy.embedded.stack import Stack
from socialapp.tests.client import Answer, Api, register
from socialapp.tests.proof.servers import Replica
from socialapp.tests.topology.conftest import as_superuser
from socialapp.tests.valkeys import wait_until

# Seconds; less than any lag that is tried.
FRESH = 0.9
# (where, whether with a token, whether the answer was stale): how many answers.
Tally = Counter[tuple[str, bool, bool]]


@contextmanager
def really_lagging(stack: Stack, seconds: float) -> Iterator[None]:
    """The replica replays each commit so many seconds after the primary made it."""
    with as_superuser(stack, "replica") as replica:
        replica.execute(f"ALTER SYSTEM SET recovery_min_apply_delay = '{seconds}s'")
        replica.execute("SELECT pg_reload_conf()")
        time.sleep(seconds)
        try:
            yield
        finally:
            replica.execute("ALTER SYSTEM RESET recovery_min_apply_delay")
            replica.execute("SELECT pg_reload_conf()")


@contextmanager
def seemingly_lagging(stack: Stack, seconds: float) -> Iterator[None]:
    """The same at once: the replica stops at a heartbeat that is as old, and replays nothing before the end."""
    with closing(Replica(stack)) as replica:
        while seconds and not stopped_at_a_heartbeat(stack, replica, seconds):
            replica.resume()
        # Until then the primary itself shows the old time, and no read may call it up to date.
        wait_until(lambda: heartbeat_age(stack) < FRESH)
        yield


def heartbeat_age(stack: Stack) -> float:
    """Seconds since the heartbeat that the primary shows."""
    with as_superuser(stack, "primary", "socialapp") as primary:
        age = "SELECT extract(epoch FROM clock_timestamp() - time)::float FROM cqrs_heartbeat"
        return primary.execute(age).fetchone()[0]


def stopped_at_a_heartbeat(stack: Stack, replica: Replica, age: float) -> bool:
    """False when the stack's own heartbeat, one a second, came in between."""
    with as_superuser(stack, "primary", "socialapp") as primary:
        backdated = "UPDATE cqrs_heartbeat SET time = clock_timestamp() - %s * interval '1 s' RETURNING time"
        (written,) = primary.execute(backdated, [age]).fetchone()
    replica.catch_up()
    with as_superuser(stack, "replica", "socialapp") as copy:
        return copy.execute("SELECT time FROM cqrs_heartbeat").fetchone()[0] == written


class Client:
    """A user who edits a post and likes others, and at once reads that back: through the gateway, and at a read
    server, which caches posts, but not who has liked them. Without a token he is anybody else, or has lost it."""

    def __init__(self, stack: Stack, *, rounds: int):
        self._writer = register(f"http://127.0.0.1:{stack.port}")
        self._gateway = Api(self._writer.at)
        self._server = Api(stack.socket("read-1"))
        self._myself = Api(stack.socket("read-1"), headers=self._writer.headers)
        self._post = self._writer.create_post("version 0")["id"]
        self._others = [self._writer.create_post()["id"] for _ in range(rounds)]
        self.tally: Tally = Counter()

    def write_and_read(self) -> Tally:
        for number, other in enumerate(self._others, start=1):
            self._edit(number)
            self._like(other)
        return self.tally

    def _edit(self, number: int) -> None:
        path, text = f"/api/v1/posts/{self._post}", f"version {number}"
        edited = self._writer.patch(path, {"text": text}, prefer="wait=10")
        assert edited.status == 200, edited.body
        for where, api in {"post, gateway": self._gateway, "post, read server": self._server}.items():
            self._read(where, api, path, edited.token, lambda answer: answer.json()["text"] == text)

    def _like(self, post: str) -> None:
        done = self._writer.put(f"/api/v1/posts/{post}/like", prefer="wait=10")
        assert done.status in (200, 204), done.body
        path, liked = f"/api/v1/me/relations?post_ids={post}", {post: {"liked": True}}
        self._read("like, read server", self._myself, path, done.token, lambda answer: answer.json()["posts"] == liked)

    def _read(self, where: str, api: Api, path: str, token: str, is_fresh: Callable[[Answer], bool]) -> None:
        """Without the token first, so that nothing of the read with it is there to help."""
        for headers in ({}, {"consistency_token": token}):
            answer = api.get(path, **headers)
            assert answer.status == 200, answer.body
            assert answer.headers["Consistency"] == ("strong" if headers else "eventual")
            self.tally[where, bool(headers), not is_fresh(answer)] += 1
