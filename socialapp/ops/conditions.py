"""Bad states of the system that an operator must be able to see: each has a health entry, a metric and a remedy.

The table in `deploy/docs/operating.md` is generated from here (`python -m socialapp.ops.conditions`), and each
condition has a test that causes it and then looks at the health entry and the metric (`visible` in the tests).
"""

import sys
from dataclasses import dataclass
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "deploy" / "docs" / "operating.md"
BEGIN, END = "<!-- conditions: begin, generated from socialapp/ops/conditions.py -->", "<!-- conditions: end -->"


@dataclass(frozen=True, slots=True)
class Condition:
    """entry: of /health/ready; it is not "up". metric: its value is above `threshold`, or below if `below`."""

    name: str
    entry: str
    metric: str
    threshold: float
    means: str
    remedy: str
    below: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value of the metric is an alarm. NaN is one: the value should be known."""
        return value < self.threshold if self.below else not value <= self.threshold

    @property
    def alarm(self) -> str:
        """The alarm as a PromQL comparison."""
        return f"{self.metric} {'<' if self.below else '>'} {self.threshold:g}"


CONDITIONS = (
    Condition(
        "a wrong clock",
        entry="clocks",
        metric="socialapp_clock_difference_seconds",
        threshold=2,
        means="The clock of this server, of a worker or of a Valkey differs from the primary's; the entry names it, "
        "and says by how much it is ahead. Stamps, ids, schedules and access tokens follow the primary and the log, so "
        "a web server's or a worker's wrong clock moves no data. A wrong clock of the log dates posts wrongly.",
        remedy="Set the clock (NTP), then look at `manage.py repair_clock --dry-run`.",
    ),
    Condition(
        "a partition clock ahead",
        entry="partition_clocks",
        metric="socialapp_log_clock_ahead_seconds",
        threshold=5,
        means="The last stamp in a partition is further ahead than a client can move it: the clock of the log or of "
        "the primary was wrong. Nothing is dated into the future, and no other partition follows.",
        remedy="Set the server's clock, then `manage.py repair_clock [--partition N] [--dry-run]`. It waits until no "
        "command waits there.",
    ),
    Condition(
        "commands lost with the log",
        entry="log_contents",
        metric="socialapp_log_loss_unacknowledged",
        threshold=0,
        means="The log (`LOG_URL`) came back empty, shorter or as another one. Commands that were accepted and not "
        "applied are lost: the entry says how many waited when it was last seen. Their clients are told `eventual` "
        "once. `manage.py backlog` exits with 1.",
        remedy="Stop the write pool and put the right disk or copy back, if there is one: what it holds is applied, "
        "and doubles are dropped. Then `manage.py acknowledge_log_loss` ends the alarm.",
    ),
    Condition(
        "a long transaction",
        entry="transactions",
        metric="socialapp_oldest_transaction_seconds",
        threshold=30,
        means="A transaction on the primary is open, in any database of the server. Consumers of events wait for it: "
        "counters, payments, emails and repeated invalidations stand still, and `manage.py consumers` says "
        "`waits for a long transaction`.",
        remedy="The entry names the session. `SELECT pg_terminate_backend(…)` ends it; `ROLLBACK PREPARED` ends a "
        "prepared transaction.",
    ),
    Condition(
        "a full command log",
        entry="log",
        metric="socialapp_log_memory_ratio",
        threshold=0.75,
        means="The log (`LOG_URL`) uses the part `LOG_FULL_AT` of its memory. What it holds is applied; writes to "
        "posts go to the inbox on the primary and are applied from there.",
        remedy="`manage.py backlog`: when commands wait, see why workers do not apply them. Else raise `maxmemory`.",
    ),
    Condition(
        "a full state store",
        entry="state",
        metric="socialapp_state_memory_ratio",
        threshold=0.8,
        means="When the state store (`STATE_URL`) is full it refuses locks, sessions and messages: changing an order "
        "answers 503, and nobody wakes workers. 202 is still answered, and orders are placed.",
        remedy="See which queue grows (`socialapp_queue_messages`), or raise `maxmemory`.",
    ),
    Condition(
        "a full read cache",
        entry="cache",
        metric="socialapp_cache_refuses_writes",
        threshold=0,
        means="Keys without a TTL take up the memory of the read cache (`CACHE_URL`), so it can evict nothing. Reads "
        "that miss come from the databases; nothing stale is served.",
        remedy="Nobody else may write into it. `manage.py flush_cache` empties it.",
    ),
    Condition(
        "a replicated read cache",
        entry="cache",
        metric="socialapp_cache_replicas",
        threshold=0,
        means="The read cache (`CACHE_URL`, a server or a cluster) has replicas. Replication is asynchronous: after a "
        "failover to one, entries that a write had dropped are back, and floors are lower, so readers are served stale "
        "entries until they expire (up to an hour).",
        remedy="Remove the replicas. A cache that is lost comes back empty, which costs only slower reads. After a "
        "failover that has happened: `manage.py flush_cache`.",
    ),
    Condition(
        "a replica that does not follow",
        entry="replica1",
        metric="socialapp_replica_lag_seconds",
        threshold=10,
        means="A replica (the entry has its name) is behind by more than `REPLICA_MAX_LAG`, or does not answer (the "
        "metric is NaN). Usually its disk is full: it goes on answering and receives nothing. No pool reads from it.",
        remedy="See its server log: `No space left on device`, a long query, a paused replay. With room it goes on by "
        "itself within a second, unless the primary has thrown away the WAL that it needs (`requested WAL segment … "
        "has already been removed`): then the one-machine stack builds it anew within seconds, as soon as 1 GiB is "
        "free; elsewhere clone it.",
    ),
    Condition(
        "a split brain",
        entry="one_primary",
        metric="socialapp_split_brain",
        threshold=0,
        means="Two database servers take writes, or heartbeats are written on two timelines.",
        remedy="Stop one of them; see *Split brain* below.",
    ),
    Condition(
        "a full disk",
        entry="disks",
        metric="socialapp_disk_free_bytes",
        threshold=512 * 2**20,
        below=True,
        means="One of the disks in `DISKS` (`name=folder,…`) has less than 512 MiB left. A primary without room "
        "refuses writes: posts are accepted into the log and wait, orders answer 503. A log without room ends at "
        "its next write, and the inbox takes what comes; what it holds is kept, and is applied when there is room.",
        remedy="Make room, or enlarge the disk. Everything goes on by itself then.",
    ),
    Condition(
        "a locked table",
        entry="tables",
        metric="socialapp_locked_tables_seconds",
        threshold=5,
        means="A session has locked a table, for example in a migration. Commands wait in the log, and orders that "
        "need the table answer 503.",
        remedy="The entry names table and session. Wait for the migration, or end the session.",
    ),
    Condition(
        "a queue without a worker",
        entry="queue_events",
        metric="socialapp_queue_workers",
        threshold=1,
        below=True,
        means="Nobody takes messages from one of the queues; the entry of that queue says so.",
        remedy="`make logs NAME=events-1`; start a worker with `-Q` and the name of the queue.",
    ),
)


def named(name: str) -> Condition:
    """Raises KeyError."""
    return {condition.name: condition for condition in CONDITIONS}[name]


def table() -> str:
    """The conditions as a table in Markdown, with the markers around it."""
    rows = [
        f"| {one.name} | `{one.entry}` | `{one.alarm}` | {one.means} | {one.remedy} |"
        for one in sorted(CONDITIONS, key=lambda one: one.name)
    ]
    head = [
        "| what is wrong | entry of `/health/ready` | alarm | what it means | what to do |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([BEGIN, *head, *rows, END])


def with_table(document: str) -> str:
    """The document with the present table in place of the one that it has. Raises ValueError without markers."""
    before, after = document.index(BEGIN), document.index(END) + len(END)
    return document[:before] + table() + document[after:]


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
    sys.stdout.write(f"{DOCUMENT}: {len(CONDITIONS)} conditions\n")
