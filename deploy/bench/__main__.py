"""`python -m deploy.bench`: reads, writes and orders against the peers; prints tables, writes JSON and charts."""

import argparse
import sys
from pathlib import Path

from deploy.bench import bars, chart, hostile, orders, reads, steady, writes
from deploy.bench.servers import require_wrk, running_stack
from deploy.bench.world import seed, world


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, help="one of the parts; by default all of them")
    parser.add_argument("--posts", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=5, help="per measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="gunicorn workers of each subject")
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 32, 256], help="of the reads")
    parser.add_argument(
        "--likes", type=int, default=20_000, help="the backlog of which it is measured how fast it goes"
    )
    parser.add_argument("--sustained", type=int, default=60, help="seconds for which new posts are accepted")
    parser.add_argument("--rate", type=float, default=20, help="orders per second, of the queues")
    parser.add_argument("--steady", type=int, default=300, help="seconds for which orders are placed, of the queues")
    parser.add_argument("--output", type=Path, default=Path("var/bench"))
    options = parser.parse_args()
    require_wrk()
    options.output.mkdir(parents=True, exist_ok=True)
    for name in [options.only] if options.only else PARTS:
        PARTS[name](options)
        written = ", ".join(str(path) for path in sorted(options.output.glob(f"{name}.*")))
        print(f"\nwritten: {written}")


def read_part(options) -> None:
    with running_stack() as stack:
        seed(stack, users=max(50, options.posts // 10), posts=options.posts)
        rows = reads.compare(stack, world(stack), options, say)
    print(reads.table(rows), bars.table(bars.of_reads(rows)), sep="\n\n")
    (options.output / "reads.json").write_text(reads.to_json(rows))
    chart.draw(rows, options.output / "reads.png")


def write_part(options) -> None:
    """Each like needs a user of its own."""
    with running_stack() as stack:
        seed(stack, users=options.likes, posts=options.posts)
        rows = writes.compare(stack, options, say)
    print(writes.table(rows), bars.table(bars.of_writes(rows)), sep="\n\n")
    (options.output / "writes.json").write_text(writes.to_json(rows))
    chart.draw_writes(rows, options.output / "writes.png")


def orders_part(options) -> None:
    with running_stack() as stack:
        seed(stack, users=1000, posts=0)
        rows = orders.compare(stack, options, say)
    print(writes.table(rows), bars.table(bars.of_orders(rows)), sep="\n\n")
    (options.output / "orders.json").write_text(writes.to_json(rows))
    chart.draw_orders(rows, options.output / "orders.png")


def queues_part(options) -> None:
    """At a steady rate of orders nothing may pile up; the bar's rate is below what two cores can do."""
    with running_stack() as stack:
        seed(stack, users=1000, posts=0)
        found = steady.measure(stack, rate=options.rate, seconds=options.steady)
    print(found.record(), bars.table(steady.bars(found)), sep="\n\n")
    (options.output / "queues.json").write_text(found.record())


def cost_part(options) -> None:
    """Products enough that a search without an index would be felt."""
    with running_stack() as stack:
        seed(stack, users=50, posts=0, products=20_000)
        found = hostile.measure(stack, seconds=4 * options.seconds)
    print(hostile.to_json(found), bars.table(hostile.bars_of(found)), sep="\n\n")
    (options.output / "cost.json").write_text(hostile.to_json(found))


def say(scenario: str, connections: int) -> None:
    print(f"measured: {scenario}, {connections} connections", file=sys.stderr, flush=True)


PARTS = {"reads": read_part, "writes": write_part, "orders": orders_part, "queues": queues_part, "cost": cost_part}

if __name__ == "__main__":
    main()
