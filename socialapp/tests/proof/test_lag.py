"""Read your writes, from a stack whose replica is behind by 0, 1, 10 and 60 seconds.

`--hypothesis-profile=chaos` waits until it is; else its heartbeat says so, and it holds back all that comes after.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import settings

from socialapp.tests.proof.lag import Client, really_lagging, seemingly_lagging

IN_FULL = settings.get_current_profile_name() == "chaos"
CLIENTS = 3
ROUNDS = 60 if IN_FULL else 6


@pytest.mark.parametrize("seconds", [0, 1, 10, 60])
def test_a_token_never_reads_less_than_was_written(stack, report, seconds):
    clients = [Client(stack, rounds=ROUNDS) for _ in range(CLIENTS)]
    lagging = really_lagging if IN_FULL else seemingly_lagging
    with lagging(stack, seconds), ThreadPoolExecutor(CLIENTS) as threads:
        tally = sum(threads.map(Client.write_and_read, clients), Counter())
    for where in sorted({where for where, _, _ in tally}):
        assert tally[where, True, True] == 0, f"stale with a token: {where}"
        assert tally[where, True, False] == CLIENTS * ROUNDS
        share = tally[where, False, True] / (CLIENTS * ROUNDS)
        report(f"lag {seconds:2} s, {where:18}  stale with a token 0 %, without {share:4.0%}")
