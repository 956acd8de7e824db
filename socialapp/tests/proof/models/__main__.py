"""Look at every state of a model: python -m socialapp.tests.proof.models NAME [--break RULE].

Exit code 0: the invariants hold. 1: they do not, and the shortest trace is printed.
"""

import argparse
import sys

from socialapp.tests.proof.models import cache, cookies, promotion, replay
from socialapp.tests.proof.models.search import explore

MODELS = {module.__name__.rpartition(".")[2]: module for module in (cache, promotion, cookies, replay)}


def main() -> int:
    names = [f"{name}: {', '.join(module.RULES)}" for name, module in MODELS.items()]
    form = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, epilog="\n".join(names), formatter_class=form)
    parser.add_argument("name", choices=MODELS)
    parser.add_argument("--break", dest="broken", metavar="RULE", help="leave out one of the model's rules")
    wanted = parser.parse_args()
    module = MODELS[wanted.name]
    if wanted.broken not in (None, *module.RULES):
        parser.error(f"{wanted.name} has the rules {', '.join(module.RULES)}")
    found = explore(module.model(), wanted.broken)
    print(f"{found.states:,} states: {found.violation or 'the invariants hold'}")  # noqa: T201
    sys.stdout.write("".join(f"  {what}\n" for what in found.trace))
    return bool(found.violation)


if __name__ == "__main__":
    raise SystemExit(main())
