"""`python -m deploy.chaos`: what follows when parts of a running stack are killed or frozen.

Fails when a GET did, or when healing took longer than is promised.
"""

import argparse
from pathlib import Path

from deploy.bench.servers import running_stack
from deploy.chaos import healing, reads, report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="before, during and after each fault")
    parser.add_argument("--output", type=Path, default=Path("var/chaos"))
    options = parser.parse_args()
    with running_stack() as stack:
        rows = report.show(reads.run(stack, seconds=options.seconds))
        report.write(options.output, "reads", rows)
        healed = healing.run(stack)
        report.write(options.output, "healing", healed)
    failed = sum(row.failed for row in rows)
    print(f"failed GETs: {failed} of {sum(row.gets for row in rows)}; reports are in {options.output}")
    raise SystemExit(failed > 0 or not healing.promise_kept(healed))


if __name__ == "__main__":
    main()
