"""`make bench`, write part: synchronous DRF, Celery with a task per message, and this project, in one run.

Rounds alternate between the subjects, so that a noisy machine disturbs all alike; figures are medians. All end in
the same Postgres, which has synchronous_commit on, and all have as many processes.

"Likes" compares what the database ends up with per second: our workers' rate out of a backlog of accepted likes, that
of Celery workers out of a queue of tasks, and that of the synchronous endpoint, which has nothing to catch up on.
"""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from statistics import median
from threading import Thread

from deploy.bench import drains
from deploy.bench.crowd import Crowd
from deploy.bench.drains import BACKENDS, DATABASES, Drained
from deploy.bench.load import Measured, wrk
from deploy.bench.servers import Server, cpu_seconds, gunicorn
from deploy.bench.visibility import Probers
from deploy.embedded.stack import Stack

CONNECTIONS = 32
# Per second.
FEW = 20
# Seconds.
LEAD = 2
HOT, SPREAD, POSTS = "likes on one post", "likes, spread", "new posts"
LOW, HIGH = f"visible, {FEW} writes/s", "visible, at 80 %"


@dataclass(frozen=True)
class Row:
    """rate: per second. Milliseconds: p50 and p99 as the client sees them; cpu_ms of all that worked on one.

    backlog: seconds until the last accepted write was applied, after the load had ended.
    """

    scenario: str
    subject: str
    rate: float
    cpu_ms: float | None = None
    p50: float | None = None
    p99: float | None = None
    backlog: float | None = None


def compare(stack: Stack, options, say) -> list[Row]:
    crowd = Crowd.of(stack)
    with ExitStack() as exits:
        pool = {"workers": options.workers, "pool": "write"}
        peer = exits.enter_context(gunicorn(stack, "deploy.bench.peers.wsgi", **pool, **drains.peer_environment(stack)))
        ours = exits.enter_context(gunicorn(stack, "config.wsgi", **pool))
        rows = []
        for scenario, hot in ((HOT, True), (SPREAD, False)):
            rows += likes(stack, crowd, peer, ours, options, scenario, hot)
            say(scenario, CONNECTIONS)
        rows += new_posts(stack, crowd, peer, ours, options)
        say(POSTS, CONNECTIONS)
        capacity = next(row.rate for row in rows if (row.scenario, row.subject) == (POSTS, "socialapp"))
        for scenario, rate in ((LOW, 0), (HIGH, 0.8 * capacity)):
            rows.append(visible(stack, crowd, ours, options, scenario, rate))
            say(scenario, CONNECTIONS)
    return rows


# ---- likes ----


def likes(stack: Stack, crowd: Crowd, peer: Server, ours: Server, options, scenario: str, hot: bool) -> list[Row]:
    drained: dict[str, list[Drained]] = {"naive": [], "naive, SQL alone": [], "celery": [], "socialapp": []}
    accepted = []
    for _ in range(options.rounds):
        drained["naive"].append(synchronous(stack, crowd, peer, options, hot))
        drained["socialapp"].append(drains.ours(stack, crowd.likes(options.likes, hot=hot)))
        few = options.likes // 4
        drained["celery"].append(drains.celery_per_message(stack, crowd.likes(few, hot=hot)))
        drained["naive, SQL alone"].append(drains.statements_alone(stack, crowd.likes(few, hot=hot)))
        accepted.append(over_http(stack, crowd, ours, options, hot))
    rows = [
        Row(scenario, name, median(one.rate for one in found), median(one.cpu_ms for one in found))
        for name, found in drained.items()
    ]
    return [*rows, end_to_end(scenario, accepted)]


def synchronous(stack: Stack, crowd: Crowd, peer: Server, options, hot: bool) -> Drained:
    requests = crowd.like_requests(crowd.likes(options.likes, hot=hot))
    load, cpu_ms = loaded(stack, peer, requests, options.seconds, DATABASES)
    require_distinct(load, requests)
    return Drained(load.rate, cpu_ms)


def over_http(stack: Stack, crowd: Crowd, ours: Server, options, hot: bool) -> tuple[Measured, float, float]:
    requests = crowd.like_requests(crowd.likes(options.likes, hot=hot))
    load, cpu_ms = loaded(stack, ours, requests, options.seconds, BACKENDS)
    require_distinct(load, requests)
    return load, cpu_ms, drains.wait_until_at_rest(stack)


def require_distinct(load: Measured, requests: list) -> None:
    if load.requests > len(requests):
        raise SystemExit(f"{load.requests} likes were sent, {len(requests)} of them distinct: raise --likes")


def end_to_end(scenario: str, found: list[tuple[Measured, float, float]]) -> Row:
    def middle(field: str) -> float:
        return median(getattr(load, field) for load, _, _ in found)

    cpu, backlog = median(cpu for _, cpu, _ in found), median(backlog for _, _, backlog in found)
    return Row(scenario, "socialapp, over HTTP", middle("rate"), cpu, middle("p50"), middle("p99"), backlog)


# ---- new posts ----


def new_posts(stack: Stack, crowd: Crowd, peer: Server, ours: Server, options) -> list[Row]:
    """Ours for the whole time without a break, between two halves of the peer's."""
    halves = [posted(stack, crowd, peer, "naive", options.sustained // 2, DATABASES)]
    sustained = posted(stack, crowd, ours, "socialapp", options.sustained, BACKENDS)
    halves.append(posted(stack, crowd, peer, "naive", options.sustained // 2, DATABASES))
    fields = ("rate", "cpu_ms", "p50", "p99")
    naive = {field: sum(getattr(row, field) for row in halves) / 2 for field in fields}
    return [Row(POSTS, "naive", **naive), sustained]


def posted(stack: Stack, crowd: Crowd, server: Server, subject: str, seconds: float, programs) -> Row:
    load, cpu_ms = loaded(stack, server, crowd.post_requests(), seconds, programs)
    backlog = drains.wait_until_at_rest(stack)
    return Row(POSTS, subject, load.rate, cpu_ms, load.p50, load.p99, backlog)


def loaded(stack: Stack, server: Server, requests: list, seconds: float, programs) -> tuple[Measured, float]:
    """(what the client saw, milliseconds of CPU per answer of the server and these programs)."""
    processes = [server.pid, *drains.pids(stack, programs)]
    before = cpu_seconds(processes)
    load = wrk(server.url, requests, connections=CONNECTIONS, seconds=seconds, start=0)
    return load, 1000 * (cpu_seconds(processes) - before) / load.requests


# ---- from 202 to visible ----


def visible(stack: Stack, crowd: Crowd, ours: Server, options, scenario: str, rate: float) -> Row:
    """rate: of other writes, besides those that are watched."""
    seconds = 4 * options.seconds
    gateway = f"http://127.0.0.1:{stack.port}"
    probers = Probers(ours.url, gateway, crowd.post_requests(), rate=FEW, seconds=seconds)
    with others(ours, crowd, rate - FEW, seconds) if rate else nullcontext():
        found = probers.watch()
    backlog = drains.wait_until_at_rest(stack)
    return Row(scenario, "socialapp", rate or FEW, None, found.p50, found.p99, backlog)


@contextmanager
def others(ours: Server, crowd: Crowd, rate: float, seconds: int) -> Iterator[None]:
    """Load at a steady rate, from before the body begins until after it ends."""
    arguments = {"connections": 2 * CONNECTIONS, "seconds": seconds + 2 * LEAD, "rate": rate, "start": 0}
    loading = Thread(target=wrk, args=(ours.url, crowd.post_requests()), kwargs=arguments)
    loading.start()
    time.sleep(LEAD)
    yield
    loading.join()


# ---- what is printed ----


def table(rows: list[Row]) -> str:
    lines = [f"{'':22}{'':23}{'per s':>9}{'x naive':>9}{'CPU ms':>9}{'p50 ms':>9}{'p99 ms':>9}{'backlog s':>11}"]
    for row in rows:
        naive = next((r.rate for r in rows if (r.scenario, r.subject) == (row.scenario, "naive")), None)
        cells = (row.rate, naive and row.rate / naive, row.cpu_ms, row.p50, row.p99, row.backlog)
        forms = ("9.0f", "9.1f", "9.3f", "9.1f", "9.1f", "11.2f")
        shown = (
            f"{'':{form[0:-3]}}" if cell is None else f"{cell:{form}}" for cell, form in zip(cells, forms, strict=True)
        )
        lines.append(f"{row.scenario:22}{row.subject:23}{''.join(shown)}".rstrip())
    return "\n".join(lines)


def to_json(rows: list[Row]) -> str:
    return json.dumps([asdict(row) for row in rows], indent=1)
