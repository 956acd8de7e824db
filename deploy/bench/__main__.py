"""`python -m deploy.bench`: measures reads against the peers; prints tables, writes JSON and a chart."""

import argparse
import sys
from pathlib import Path

from deploy.bench import bars, chart, reads
from deploy.bench.servers import require_wrk, running_stack
from deploy.bench.world import seed, world


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posts", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=5, help="per measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="gunicorn workers of each subject")
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 32, 256])
    parser.add_argument("--output", type=Path, default=Path("var/bench"))
    options = parser.parse_args()
    require_wrk()
    with running_stack() as stack:
        seed(stack, users=max(50, options.posts // 10), posts=options.posts)
        rows = reads.compare(stack, world(stack), options, say)
    print(reads.table(rows), bars.table(bars.all_bars(rows)), sep="\n\n")
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "reads.json").write_text(reads.to_json(rows))
    chart.draw(rows, options.output / "reads.png")
    print(f"\nloaded by wrk; written: {options.output}/reads.json, {options.output}/reads.png")


def say(scenario: str, connections: int) -> None:
    print(f"measured: {scenario}, {connections} connections", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
