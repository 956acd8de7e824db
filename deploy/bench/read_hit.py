"""How much of a bare Django view's rate does a read hit reach? `python -m deploy.bench.read_hit`

Both are served by one gunicorn server with equal settings, for each worker class in turn, and loaded by wrk
in rounds that alternate, so that a noisy machine disturbs both alike.
"""

import argparse
import json
import urllib.request
from statistics import median

from deploy.bench.load import wrk
from deploy.bench.servers import gunicorn, require_wrk, running_stack
from deploy.bench.world import seed
from deploy.embedded.stack import Stack

WORKERS = ("sync", "gthread", "gevent")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=5, help="per measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--worker-class", choices=WORKERS, nargs="*", default=WORKERS)
    options = parser.parse_args()
    require_wrk()
    with running_stack() as stack:
        seed(stack, users=100, posts=500)
        path = hot_path(stack)
        print(f"{'workers':8} {'bare/s':>8} {'socialapp/s':>12} {'ratio':>6}")
        for worker_class in options.worker_class:
            bare, ours = compare(stack, path, worker_class, options)
            print(f"{worker_class:8} {bare:8.0f} {ours:12.0f} {ours / bare:6.2f}", flush=True)


def hot_path(stack: Stack) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/api/v1/timelines/public?limit=1", timeout=10) as answer:
        return f"/api/v1/posts/{json.load(answer)['results'][0]['id']}"


def compare(stack: Stack, path: str, worker_class: str, options) -> tuple[float, float]:
    """Median rates of (bare, socialapp)."""
    chosen = {"workers": 1, "GUNICORN_WORKER_CLASS": worker_class}
    with (
        gunicorn(stack, "deploy.bench.bare", **chosen) as bare,
        gunicorn(stack, "config.wsgi", **chosen) as ours,
    ):
        # The bare view only reads: the entry has to be there.
        urllib.request.urlopen(ours.url + path, timeout=10).close()
        rates = {server: [] for server in (bare, ours)}
        for _ in range(options.rounds):
            for server, found in rates.items():
                load = wrk(server.url, [path], connections=options.connections, seconds=options.seconds)
                found.append(load.rate)
    return median(rates[bare]), median(rates[ours])


if __name__ == "__main__":
    main()
