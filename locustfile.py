"""Load on a running stack, by `make load` or `locust --host http://127.0.0.1:8080 Reader` (which has its own page).

`Reader` is the social network's everyday, `Buyer` a flash sale of the newest product (`make load USER_CLASS=Buyer`).

READ_SHARE (0.95) of the actions read posts by Zipf's law; the rest write, and at once read back what they wrote
with the token of the write's answer. A read that does not show it is a failure, `stale`. Nothing is retried.
Every user signs in first; the measurement begins when all have.
"""

import os
import random
import secrets
import time
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

from gevent.event import Event
from gevent.lock import Semaphore
from locust import FastHttpUser, events, task
from locust.exception import RescheduleTask
from locust.runners import WorkerRunner
from locust.stats import StatsEntry, console_logger

READ_SHARE = float(os.environ.get("READ_SHARE", "0.95"))
if not 0 <= READ_SHARE <= 1:
    raise ValueError(f"READ_SHARE is {READ_SHARE}; it must be between 0 and 1")

API = "/api/v1"
# How many of the newest posts are read.
MOST_POSTS = 2_000
# Seconds before its end at which an access token is renewed.
RENEWAL = 30
OWN = "read own "


class Posts:
    """(id, author) of what is read: the n-th most liked post gets one n-th of the first's reads."""

    def __init__(self):
        self.found: list[tuple[str, str]] = []
        self.weights: list[float] = []
        self.walking = Semaphore()

    def find(self, client) -> None:
        """Walk the public timeline, once for all users."""
        with self.walking:
            if not self.found:
                for post in sorted(_walk(client), key=lambda post: -post["like_count"]):
                    self.add(post["id"], post["author"]["username"])

    def add(self, post_id: str, author: str) -> None:
        self.found.append((post_id, author))
        self.weights.append((self.weights or [0])[-1] + 1 / len(self.found))

    def pick(self) -> tuple[str, str]:
        if not self.found:
            raise RescheduleTask()
        return random.choices(self.found, cum_weights=self.weights)[0]


class StartingLine:
    """Users wait here for each other, and what they did before is not counted: signing in is not what is measured."""

    def __init__(self):
        self.arrived = 0
        self.off = Event()

    def wait(self, environment) -> None:
        self.arrived += 1
        if self.arrived >= environment.runner.target_user_count and not self.off.is_set():
            environment.stats.reset_all()
            self.off.set()
        self.off.wait()


posts = Posts()
starting_line = StartingLine()
# Hashing a password costs the stack 0.2 s of CPU: more at once would only time out.
sign_ins = Semaphore(4)


@events.test_start.add_listener
def begin(environment, **_):
    global posts, starting_line
    posts, starting_line = Posts(), StartingLine()


def _walk(client) -> list[dict]:
    found, path = [], f"{API}/timelines/public?limit=100"
    while path and len(found) < MOST_POSTS:
        answer = client.get(path, name="find posts")
        if answer.status_code != 200:
            break
        page = answer.json()
        found += page["results"]
        # The server may know itself by another name than ours.
        following = urlsplit(page["next"] or "")
        path = following.query and f"{following.path}?{following.query}"
    return found


class Account:
    """A user of the API, registered for this run; its access token is renewed before it ends."""

    def __init__(self, client):
        self.client = client
        self.username = self.refresh = self.access = ""
        self.good_until = 0.0

    def headers(self) -> dict[str, str]:
        if time.monotonic() > self.good_until:
            with sign_ins:
                self._renew()
        return {"Authorization": f"Bearer {self.access}"}

    def _renew(self) -> None:
        pair = self._refreshed() if self.refresh else self._registered()
        self.access, self.refresh = pair["access"], pair["refresh"]
        self.good_until = time.monotonic() + pair["expires_in"] - RENEWAL

    def _refreshed(self) -> dict:
        # Good for one use, also when its answer is lost: then the next write registers anew.
        refresh, self.refresh = self.refresh, ""
        return self._ask("token/refresh", {"refresh": refresh})

    def _registered(self) -> dict:
        self.username = f"load_{secrets.token_hex(8)}"
        credentials = {"username": self.username, "password": secrets.token_urlsafe(16)}
        self._ask("register", credentials)
        return self._ask("token", credentials)

    def _ask(self, step: str, body: dict) -> dict:
        """The gateway slows sign-ins down on purpose: whoever is told to wait does."""
        while True:
            with self.client.post(f"{API}/auth/{step}", json=body, name=f"/auth/{step}", catch_response=True) as answer:
                if answer.status_code in (200, 201):
                    return answer.json()
                if answer.status_code == 429:
                    answer.success()
            if answer.status_code != 429:
                raise RescheduleTask()
            time.sleep(float(answer.headers.get("Retry-After", 1)) * random.uniform(1, 2))


def weight(share: float, part: float) -> int:
    return round(10_000 * share * part)


class Reader(FastHttpUser):
    """Reads as anybody; writes, and reads its own writes, as a user of its own."""

    def on_start(self):
        # With the token's cookie every read would pass by the gateway's cache.
        self.client.cookiejar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.account = Account(self.client)
        posts.find(self.client)
        if READ_SHARE < 1:
            # Who fails here tries once more with the first write.
            with suppress(RescheduleTask):
                self.account.headers()
        starting_line.wait(self.environment)

    @task(weight(READ_SHARE, 0.6))
    def read_post(self):
        post_id, _ = posts.pick()
        self.client.get(f"{API}/posts/{post_id}", name="/posts/{id}")

    @task(weight(READ_SHARE, 0.2))
    def read_comments(self):
        post_id, _ = posts.pick()
        self.client.get(f"{API}/posts/{post_id}/comments", name="/posts/{id}/comments")

    @task(weight(READ_SHARE, 0.1))
    def read_user_timeline(self):
        _, author = posts.pick()
        name = "/users/{username}/posts"
        with self.client.get(f"{API}/users/{author}/posts", name=name, catch_response=True) as answer:
            if answer.status_code == 404:
                # Posts stay when their author was deactivated, but there is no such user any more.
                answer.success()

    @task(weight(READ_SHARE, 0.1))
    def read_public_timeline(self):
        self.client.get(f"{API}/timelines/public", name="/timelines/public")

    @task(weight(1 - READ_SHARE, 0.6))
    def like(self):
        post_id, _ = posts.pick()
        _, token = self._write("PUT", f"/posts/{post_id}/like", "/posts/{id}/like")
        relations = f"/me/relations?post_ids={post_id}"
        self._read_own("like", relations, token, lambda body: body["posts"][post_id]["liked"])

    @task(weight(1 - READ_SHARE, 0.25))
    def comment(self):
        post_id, _ = posts.pick()
        text = f"A comment, {secrets.token_hex(4)}"
        comment_id, token = self._write("POST", f"/posts/{post_id}/comments", "/posts/{id}/comments", {"text": text})
        self._read_own("comment", f"/comments/{comment_id}", token, lambda body: body["text"] == text)

    @task(weight(1 - READ_SHARE, 0.15))
    def create_post(self):
        text = f"A post under #load, {secrets.token_hex(4)}"
        post_id, token = self._write("POST", "/posts", "/posts", {"text": text})
        self._read_own("post", f"/posts/{post_id}", token, lambda body: body["text"] == text)
        if len(posts.found) < MOST_POSTS:
            posts.add(post_id, self.account.username)

    def _write(self, method: str, path: str, name: str, body: dict | None = None) -> tuple[str, str]:
        """(id of the resource, token)."""
        headers = self.account.headers()
        answer = self.client.request(method, f"{API}{path}", json=body, headers=headers, name=name)
        if answer.status_code != 202:
            raise RescheduleTask()
        return answer.json()["resource"]["id"], answer.headers["Consistency-Token"]

    def _read_own(self, thing: str, path: str, token: str, shows) -> None:
        headers = self.account.headers() | {"Consistency-Token": token}
        with self.client.get(f"{API}{path}", headers=headers, name=f"{OWN}{thing}", catch_response=True) as answer:
            status, promise = answer.status_code, answer.headers and answer.headers.get("Consistency")
            if status == 404 or (status == 200 and not shows(answer.json())):
                answer.failure(f"stale: status {status}, consistency {promise}")


class Buyer(FastHttpUser):
    """Everybody wants the newest product, until there is none left; 409 `out_of_stock` is an answer, no failure."""

    def on_start(self):
        self.account = Account(self.client)
        with suppress(RescheduleTask):
            self.account.headers()
        starting_line.wait(self.environment)

    @task
    def buy(self):
        newest = self.client.get(f"{API}/products?limit=1", name="/products").json()["results"]
        if not newest:
            console_logger.warning("Nothing is for sale: add a product in the admin, or by manage.py seed --products.")
            time.sleep(5)
            raise RescheduleTask()
        order = {"items": [{"product_id": newest[0]["id"], "quantity": 1}]}
        headers = self.account.headers() | {"Idempotency-Key": secrets.token_hex(16)}
        with self.client.post(
            f"{API}/orders", json=order, headers=headers, name="/orders", catch_response=True
        ) as answer:
            if answer.status_code == 409 and answer.json()["code"] == "out_of_stock":
                answer.success()
        if answer.status_code == 201:
            self._read_own(answer.json()["id"], answer.headers["Consistency-Token"])

    def _read_own(self, order_id: str, token: str) -> None:
        headers = self.account.headers() | {"Consistency-Token": token}
        name = f"{OWN}order"
        with self.client.get(f"{API}/orders/{order_id}", headers=headers, name=name, catch_response=True) as answer:
            if answer.status_code == 404:
                answer.failure(f"stale: status 404, consistency {answer.headers.get('Consistency')}")


@events.test_stop.add_listener
def summarize(environment, **_):
    if isinstance(environment.runner, WorkerRunner):
        return
    kinds = {kind: StatsEntry(environment.stats, kind, "") for kind in ("reads", "writes", "reads of own writes")}
    for entry in environment.stats.entries.values():
        if kind := kind_of(entry):
            kinds[kind].extend(entry)
    console_logger.info(f"{'':<22}{'per second':>12}{'p50, ms':>10}{'p99, ms':>10}{'failed':>10}")
    for kind, entry in kinds.items():
        p50, p99 = (entry.get_response_time_percentile(share) for share in (0.5, 0.99))
        console_logger.info(f"{kind:<22}{entry.total_rps:>12,.1f}{p50:>10}{p99:>10}{entry.num_failures:>10,}")
    console_logger.info(staleness(environment.stats, kinds["reads of own writes"].num_requests))
    if not any(entry.num_requests for entry in kinds.values()):
        console_logger.error("Nothing was measured: the users were still signing in. Run longer, or with fewer.")
        environment.process_exit_code = 1


def kind_of(entry: StatsEntry) -> str | None:
    if entry.name.startswith(("/auth/", "find posts")):
        return None
    if entry.name.startswith(OWN):
        return "reads of own writes"
    return "reads" if entry.method == "GET" else "writes"


def staleness(stats, own_reads: int) -> str:
    """An overloaded stack may be late, but then it has to say so: `eventual`."""
    late = [error for error in stats.errors.values() if "stale" in str(error.error)]
    stale = sum(error.occurrences for error in late)
    told = sum(error.occurrences for error in late if "eventual" in str(error.error))
    return f"stale reads of own writes: {stale:,} of {own_reads:,} ({stale / (own_reads or 1):.3%}), {told:,} said so"
