"""`make bench`, read part: naive DRF, the same with django-cacheops, and this project, side by side in one run.

Rounds alternate between the subjects, so that a noisy machine disturbs all alike; figures are medians.
"""

import http.client
import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import median
from urllib.parse import urlsplit

from deploy.bench.load import Measured, wrk
from deploy.bench.servers import Server, cpu_seconds, gunicorn
from deploy.bench.world import World
from deploy.embedded.stack import Stack

PEERS = "deploy.bench.peers.wsgi"
# What works for a read behind the web server.
BACKENDS = ("postgres-primary", "postgres-replica", "valkey-cache")


@dataclass(frozen=True)
class Subject:
    """programs: of the stack, whose CPU time counts besides the server's own. caches: worth warming."""

    name: str
    server: Server
    programs: tuple[str, ...] = BACKENDS
    caches: bool = True


@dataclass(frozen=True)
class Row:
    """cpu_ms: of the web server and of what works behind it, per read."""

    scenario: str
    connections: int
    subject: str
    rate: float
    p50: float
    p99: float
    mean: float
    cpu_ms: float

    @property
    def place(self) -> tuple[str, int]:
        return self.scenario, self.connections


def compare(stack: Stack, world: World, options, say) -> list[Row]:
    rows = []
    with ExitStack() as exits:
        subjects = start(stack, options.workers, exits)
        for scenario, paths in world.scenarios.items():
            for subject in subjects:
                if subject.caches:
                    warm(subject, paths)
            for connections in options.connections:
                found = measure(stack, subjects, paths, connections, options)
                rows += [summary(scenario, connections, name, samples) for name, samples in found.items()]
                say(scenario, connections)
    return rows


def start(stack: Stack, workers: int, exits: ExitStack) -> list[Subject]:
    # The read role may only use keys of this project.
    cacheops = stack.environment("worker")["CACHE_URL"].replace("db=0", "db=5")
    # Sync workers: gunicorn's default, and the fastest for them; they keep one connection to Postgres per worker.
    # They select every column of a table, which the read role may not.
    database = stack.environment("worker")["DATABASE_URL"]
    sync = {"workers": workers, "GUNICORN_WORKER_CLASS": "sync", "DATABASE_READ_URL": database}
    naive = exits.enter_context(gunicorn(stack, PEERS, PEER="naive", **sync))
    cached = exits.enter_context(gunicorn(stack, PEERS, PEER="cacheops", CACHEOPS_URL=cacheops, **sync))
    ours = exits.enter_context(gunicorn(stack, "config.wsgi", workers=workers))
    gateway = Server(f"http://127.0.0.1:{stack.port}", stack.pid("nginx"))
    return [
        Subject("naive", naive, caches=False),
        Subject("cacheops", cached),
        Subject("socialapp", ours),
        # The gateway itself is not the backend: what counts is what it leaves for the servers behind.
        Subject("gateway", gateway, (*BACKENDS, "read-1", "read-2")),
    ]


def warm(subject: Subject, paths: list[str]) -> None:
    """Fill the caches, as they would be in operation."""
    connection = http.client.HTTPConnection(urlsplit(subject.server.url).netloc, timeout=30)
    for path in dict.fromkeys(paths):
        connection.request("GET", path)
        connection.getresponse().read()
    connection.close()


def measure(stack: Stack, subjects: list[Subject], paths: list[str], connections: int, options) -> dict:
    found = {subject.name: [] for subject in subjects}
    for _ in range(options.rounds):
        for subject in subjects:
            pids = [stack.pid(program) for program in subject.programs]
            if subject.name != "gateway":
                pids.append(subject.server.pid)
            before = cpu_seconds(pids)
            load = wrk(subject.server.url, paths, connections=connections, seconds=options.seconds)
            found[subject.name].append((load, 1000 * (cpu_seconds(pids) - before) / load.requests))
    return found


def summary(scenario: str, connections: int, name: str, samples: list[tuple[Measured, float]]) -> Row:
    def middle(field: str) -> float:
        return median(getattr(load, field) for load, _ in samples)

    cpu = median(cpu for _, cpu in samples)
    return Row(scenario, connections, name, middle("rate"), middle("p50"), middle("p99"), middle("mean"), cpu)


def table(rows: list[Row]) -> str:
    lines = [
        f"{'':15}{'conn':>5} {'':10}{'per s':>9}{'x naive':>9}{'mean ms':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU ms':>9}"
    ]
    for row in rows:
        base = next(r for r in rows if r.subject == "naive" and r.place == row.place)
        lines.append(
            f"{row.scenario:15}{row.connections:>5} {row.subject:10}{row.rate:>9.0f}{row.rate / base.rate:>9.1f}"
            f"{row.mean:>9.2f}{row.p50:>9.2f}{row.p99:>9.2f}{row.cpu_ms:>9.3f}"
        )
    return "\n".join(lines)


def to_json(rows: list[Row]) -> str:
    return json.dumps([asdict(row) for row in rows], indent=1)
