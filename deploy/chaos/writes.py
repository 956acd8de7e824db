"""Writes under faults: clients write through the gateway while a part of the stack is killed or frozen.

After each fault, when everything has been applied, their ledger is compared with the primary and with the API.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

from deploy.chaos import answers, effects, faults, midbatch, verdict
from deploy.chaos.effects import Effects
from deploy.chaos.healing import is_well, wait_until
from deploy.chaos.ledger import Ledger, accepted, unseen
from deploy.chaos.midbatch import Hit
from deploy.chaos.verdict import Verdict
from deploy.chaos.watch import Watch
from deploy.chaos.writers import Client, Writers, sign_up
from deploy.embedded.stack import Stack

# What may be killed or frozen. The children of a worker are its PROCESSES.
WORKERS = ("worker-1", "worker-2")
PROCESSES = 2
OTHERS = ("write-1", "write-2", "events-1", "beat", "valkey-log", "valkey-state", "postgres-primary")
# Seconds. Who is killed comes back by itself, and the load goes on for so long.
KILLED, FROZEN = 6.0, 20.0
# What a run has to show: so many accepted writes, and after the kill of a worker so many seconds at most.
ENOUGH, PROMISE = 20_000, 10.0

CLIENTS = 16
HOT_POSTS = 5
# Seconds of load before a fault, and after it.
AROUND = 4.0
# Seconds after the load at which an accepted write without a result counts as lost.
DRAINED_WITHIN = 60.0
# Seconds; whoever waits longer for the result of a write was held up by the fault.
HELD_UP = 1.0
# Of each kind of finding a report has so many.
QUOTED = 20

Fault = Callable[[], AbstractContextManager]


@dataclass(frozen=True)
class Row:
    """What one fault did. in_batch: whether a worker was hit in the middle of a batch, None where that was not the aim.

    repeated: requests that got no final answer, by what they got instead.

    unanswered: writes that nobody answered in a minute of repeats. told_otherwise: what the API says and the primary
    does not. p50, p99, slowest: milliseconds from a 202 until the result could be read on the primary. recovery:
    seconds from the hit until, in each partition, something accepted after it was applied. held_up: seconds from the
    hit until nobody waited longer than HELD_UP any more. silence: the longest time without any 202.
    """

    fault: str
    in_batch: bool | None
    accepted: int
    repeated: dict[str, int]
    refused: int
    unanswered: int
    lost: int
    doubled: int
    disordered: int
    told_otherwise: int
    renamed: int
    dead_letters: int
    p50: float
    p99: float
    slowest: float
    recovery: float
    held_up: float
    silence: float
    findings: list[str] = field(default_factory=list)

    @property
    def other(self) -> int:
        """Whatever else should not be."""
        return self.refused + self.unanswered + self.told_otherwise + self.dead_letters

    @property
    def wrong(self) -> int:
        return self.lost + self.doubled + self.disordered + self.other

    @property
    def repeats(self) -> int:
        return sum(self.repeated.values())

    @property
    def remarks(self) -> list[str]:
        missed = ["the worker was not in the middle of a batch"] if self.in_batch is False else []
        return [*missed, *self.findings]


def run(stack: Stack) -> Iterator[Row]:
    """Rows as they are measured."""
    for name, fault in {"nothing": nullcontext, **kills(stack)}.items():
        yield measure(stack, name, fault, hold=KILLED)
    for name, fault in freezes(stack).items():
        yield measure(stack, name, fault, hold=FROZEN)


def worker_kills(stack: Stack) -> dict[str, Fault]:
    """In the middle of a batch."""
    children = [(worker, number) for worker in WORKERS for number in range(PROCESSES)]
    return {
        **{f"{worker} killed": partial(midbatch.killed, stack, worker) for worker in WORKERS},
        **{
            f"process {number + 1} of {worker} killed": partial(midbatch.child_killed, stack, worker, number)
            for worker, number in children
        },
        "both workers killed": partial(midbatch.killed, stack, *WORKERS),
        "main process of worker-1 killed": partial(faults.main_killed, stack, "worker-1"),
    }


def kills(stack: Stack) -> dict[str, Fault]:
    others = {f"{program} killed": partial(faults.killed, stack, program) for program in OTHERS}
    return worker_kills(stack) | others


def freezes(stack: Stack) -> dict[str, Fault]:
    return {
        **{f"{worker} frozen": partial(midbatch.frozen, stack, worker) for worker in WORKERS},
        **{f"process 1 of {worker} frozen": partial(midbatch.child_frozen, stack, worker, 0) for worker in WORKERS},
        **{f"{program} frozen": partial(faults.frozen, stack, program) for program in OTHERS},
    }


def missed(stack: Stack, rows: list[Row]) -> list[str]:
    """The bars that a whole run has missed, in words."""
    total, slow = sum(row.accepted for row in rows), worker_kills(stack).keys()
    found = [f"{row.fault}: {row.wrong} writes went wrong" for row in rows if row.wrong]
    found += [f"{row.fault}: {row.recovery} s" for row in rows if row.fault in slow and row.recovery > PROMISE]
    return [*found, f"only {total:,} writes were accepted"] if total < ENOUGH else found


def measure(
    stack: Stack, name: str, fault: Fault, *, hold: float, around: float = AROUND, clients: int = CLIENTS
) -> Row:
    """hold: seconds for which the fault lasts, or is waited for what follows it. around: of load before and after."""
    at = f"http://127.0.0.1:{stack.port}"
    crowd = sign_up(at, secrets.token_hex(4), number=clients, hot=HOT_POSTS)
    writers = Writers(at, crowd)
    with Watch(primary(stack), writers.ledger).watching():
        hit = load(writers, fault, hold, around)
        wait_until_applied(writers.ledger)
    wait_until(lambda: is_well(stack), f"the stack after: {name}")
    found = effects.read(primary(stack), writers.ledger)
    return row(name, hit, writers.ledger, found, otherwise(at, crowd, writers.ledger, found))


def load(writers: Writers, fault: Fault, hold: float, around: float) -> Hit:
    with writers.writing():
        time.sleep(around)
        before = Hit(time.time())
        with fault() as hit:
            time.sleep(hold)
        time.sleep(around)
    return hit or before


def wait_until_applied(ledger: Ledger) -> None:
    deadline = time.monotonic() + DRAINED_WITHIN
    while unseen(ledger) and time.monotonic() < deadline:
        time.sleep(0.05)


def otherwise(at: str, crowd: list[Client], ledger: Ledger, found: Effects) -> list[str]:
    return [*answers.stale(at, found), *answers.untold(crowd, ledger, found)]


def primary(stack: Stack) -> str:
    return stack.environment("worker")["DATABASE_URL"]


def row(name: str, hit: Hit, ledger: Ledger, found: Effects, told_otherwise: list[str]) -> Row:
    judged = verdict.judge(ledger, found)
    written = accepted(ledger)
    delays = sorted(write.delay * 1000 for write in written if write.seen) or [0.0]
    return Row(
        name,
        hit.in_batch,
        accepted=len(written),
        repeated=dict(Counter(answer for write in ledger for answer in write.answers)),
        refused=sum(bool(write.refused) for write in ledger),
        unanswered=sum(write.unanswered for write in ledger),
        lost=len(judged.lost),
        doubled=len(judged.doubled),
        disordered=len(judged.disordered),
        told_otherwise=len(told_otherwise),
        renamed=judged.renamed,
        dead_letters=found.dead_letters,
        p50=round(delays[len(delays) // 2]),
        p99=round(delays[len(delays) * 99 // 100]),
        slowest=round(delays[-1]),
        recovery=round(recovery(written, hit.at), 2),
        held_up=round(held_up(written, hit.at), 2),
        silence=round(silence(written), 2),
        findings=findings(ledger, judged, told_otherwise),
    )


def findings(ledger: Ledger, judged: Verdict, told_otherwise: list[str]) -> list[str]:
    named = {
        "lost": judged.lost,
        "doubled": judged.doubled,
        "out of order": judged.disordered,
        "told otherwise": told_otherwise,
        "refused": [f"{write}: {write.refused}" for write in ledger if write.refused],
        "unanswered": [str(write) for write in ledger if write.unanswered],
    }
    return [f"{kind}: {text}" for kind, texts in named.items() for text in texts[:QUOTED]]


def recovery(written: Ledger, hit: float) -> float:
    firsts: dict[int, float] = {}
    for write in written:
        if write.seen and write.accepted > hit:
            firsts[write.partition] = min(write.seen, firsts.get(write.partition, write.seen))
    return max(firsts.values(), default=hit) - hit


def held_up(written: Ledger, hit: float) -> float:
    late = [write.seen for write in written if write.delay > HELD_UP and write.seen > hit]
    return max(late, default=hit) - hit


def silence(written: Ledger) -> float:
    times = sorted(write.accepted for write in written)
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)
