"""GET /metrics: numbers for Prometheus, from each pool; the gateway does not let them out.

They are read from where all processes count together, so it does not matter which process of which pool is asked.
"""

from collections.abc import Iterable
from contextlib import suppress

from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from socialapp.cqrs import audit, backlog, fencing, keys, locks, memory, progress, roles, valkey, waking
from socialapp.cqrs.audit import CACHE
from socialapp.cqrs.models import DeadLetter
from socialapp.cqrs.postgres import activity
from socialapp.cqrs.routing import DOWN, PRIMARY
from socialapp.ops import auditing, clock_metrics, queues, replica_metrics, room
from socialapp.ops.auditing import Counts

PREFIX = "socialapp_cache_audit"
PLACE = ["place"]


def exposition(request: HttpRequest) -> HttpResponse:
    return HttpResponse(
        generate_latest(registry), content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"}
    )


class CacheAudit(Collector):
    """What audits have counted, and whether the store of the counts can be asked."""

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("socialapp_state_store_up", "Whether the state store (STATE_URL) answers.")
        try:
            counts = auditing.totals()
        except valkey.UNREACHABLE:
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        return [up, *_alarming(counts), *_apart(counts), *_agreement(counts)]


def _alarming(counts: Counts) -> Iterable[Metric]:
    stale = "Entries that the cache held longer than any write is in flight, and that were not true."
    yield CounterMetricFamily(f"{PREFIX}_violations", stale, value=counts[CACHE, audit.STALE])
    unknown = "Entries that the auditing process could not have made."
    yield CounterMetricFamily(f"{PREFIX}_unknown", unknown, value=counts[CACHE, audit.UNKNOWN])


def _apart(counts: Counts) -> Iterable[Metric]:
    unsettled = CounterMetricFamily(f"{PREFIX}_unsettled", "Entries that kept changing meanwhile.", labels=PLACE)
    unreachable = CounterMetricFamily(f"{PREFIX}_unreachable", "Looks at a replica that did not answer.", labels=PLACE)
    for place in auditing.places(counts):
        unsettled.add_metric([place], counts[place, audit.UNSETTLED])
        if place != CACHE:
            unreachable.add_metric([place], counts[place, audit.UNREACHABLE])
    return [unsettled, unreachable]


def _agreement(counts: Counts) -> Iterable[Metric]:
    graced = [*PLACE, "within"]
    checked = CounterMetricFamily(f"{PREFIX}_checked", "Entries compared with the primary.", labels=PLACE)
    agreed = CounterMetricFamily(f"{PREFIX}_consistent", "Those that agreed, within so many seconds.", labels=graced)
    share = GaugeMetricFamily(f"{PREFIX}_consistent_ratio", "Their share of those compared.", labels=graced)
    for place in auditing.places(counts):
        compared = auditing.compared(counts, place)
        checked.add_metric([place], compared)
        for grace, number in auditing.agreeing(counts, place).items():
            agreed.add_metric([place, f"{grace}"], number)
            if compared:
                share.add_metric([place, f"{grace}"], number / compared)
    return [checked, agreed, share]


class CommandLog(Collector):
    """What waits in the log, and whether it can be asked. Only the write pool may look into it."""

    def collect(self) -> Iterable[Metric]:
        if not roles.may_write():
            return
        up = GaugeMetricFamily("socialapp_log_up", "Whether the command log (LOG_URL) answers.")
        try:
            partitions, found = backlog.in_log(), memory.fullest(valkey.command_log())
        except valkey.UNREACHABLE:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield GaugeMetricFamily("socialapp_log_memory_bytes", "Used by the log's fullest server.", value=found.used)
        yield GaugeMetricFamily("socialapp_log_memory_max_bytes", "Where it refuses commands.", value=found.most)
        for name, described, value in LOG:
            family = GaugeMetricFamily(name, described, labels=["partition"])
            for found in partitions:
                family.add_metric([f"{found.partition:x}"], value(found))
            yield family


class Room(Collector):
    """How full stores and disks are. Only the write pool may ask the servers for their memory."""

    def collect(self) -> Iterable[Metric]:
        free = GaugeMetricFamily("socialapp_disk_free_bytes", "Of the disks in DISKS.", labels=["disk"])
        for disk in room.disks():
            free.add_metric([disk.name], disk.free)
        yield free
        if roles.may_write():
            yield from self._stores()

    def _stores(self) -> Iterable[Metric]:
        for name, look in (("log", room.log), ("state", room.state)):
            # That a server does not answer is told by socialapp_log_up and socialapp_state_store_up.
            with suppress(*valkey.UNREACHABLE):
                share = look()[0].share
                yield GaugeMetricFamily(f"socialapp_{name}_memory_ratio", "Used part of its memory.", value=share)
        with suppress(*valkey.UNREACHABLE):
            refuses = float(bool(room.cache_trouble()))
            yield GaugeMetricFamily("socialapp_cache_refuses_writes", "1: it has no room.", value=refuses)
            replicas = room.cache_replicas()
            yield GaugeMetricFamily("socialapp_cache_replicas", "Which it must not have.", value=replicas)


LOG = (
    ("socialapp_log_waiting", "Commands that nobody has acknowledged.", lambda found: found.streamed),
    ("socialapp_log_oldest_seconds", "Since the oldest of them was accepted.", lambda found: found.seconds),
    ("socialapp_log_set_aside", "Commands that wait for something else.", lambda found: found.set_aside),
    ("socialapp_log_unreadable", "Entries that are no commands.", lambda found: found.unreadable),
)


class Queues(Collector):
    """What waits for Celery workers, and how many take it. Only the write pool may ask the broker."""

    def collect(self) -> Iterable[Metric]:
        if not roles.may_write():
            return []
        labels = ["queue"]
        messages = GaugeMetricFamily("socialapp_queue_messages", "Messages that no worker has taken.", labels=labels)
        workers = GaugeMetricFamily("socialapp_queue_workers", "Workers alive that take them.", labels=labels)
        # socialapp_state_store_up says that the store cannot be asked.
        with suppress(*waking.UNREACHABLE):
            for queue in queues.all_queues():
                messages.add_metric([queue.name], queue.messages)
                workers.add_metric([queue.name], len(queue.workers))
        return [messages, workers]


class Locks(Collector):
    """Contention: how often locks were refused, and how long was waited for all of them together."""

    def collect(self) -> Iterable[Metric]:
        if not roles.may_write():
            return []
        labels = ["kind", "outcome"]
        tries = CounterMetricFamily("socialapp_lock_acquisitions", "Locks that were asked for.", labels=labels)
        waited = CounterMetricFamily("socialapp_lock_wait_seconds", "Until a lock was had or refused.", labels=["kind"])
        # That the store cannot be asked is told by socialapp_state_store_up.
        with suppress(*valkey.UNREACHABLE):
            for (kind, outcome), number in locks.counts().items():
                if outcome == "waited":
                    waited.add_metric([kind], number / 1_000_000)
                else:
                    tries.add_metric([kind, outcome], number)
        return [tries, waited]


class SharedRevocations(Collector):
    """Whether processes hear of revoked access tokens from the state store, and need not ask a database each second."""

    def collect(self) -> Iterable[Metric]:
        complete = GaugeMetricFamily("socialapp_revocations_shared", "Whether the state store has all revocations.")
        # socialapp_state_store_up says that the store cannot be asked.
        with suppress(*valkey.UNREACHABLE):
            complete.add_metric([], valkey.state().exists(keys.revocations("complete")))
        return [complete]


class Primary(Collector):
    """What waits on the primary for a worker, a consumer or an operator. From the write pool as well."""

    def collect(self) -> Iterable[Metric]:
        if not roles.may_write():
            return []
        up = GaugeMetricFamily("socialapp_primary_up", "Whether the primary (DATABASE_URL) answers.")
        try:
            found = [_inbox(), _dead_letters(), *_consumers(), *_sessions()]
        except DOWN:
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        return [up, *found]


class SplitBrain(Collector):
    """From each pool: it looks at all database servers that it knows."""

    def collect(self) -> Iterable[Metric]:
        fencing.look_around()
        described = "Whether two servers take writes, or heartbeats are written on two timelines."
        return [GaugeMetricFamily("socialapp_split_brain", described, value=bool(fencing.found()))]


def _inbox() -> Metric:
    number = sum(kept for kept, _ in backlog.in_inbox().values())
    return GaugeMetricFamily("socialapp_inbox_commands", "Commands taken while the log was down.", value=number)


def _dead_letters() -> Metric:
    waiting = DeadLetter.objects.using(PRIMARY).filter(state=DeadLetter.State.BURIED).count()
    return GaugeMetricFamily("socialapp_dead_letters", "Commands that wait for an operator's decision.", value=waiting)


def _sessions() -> Iterable[Metric]:
    """An age that Postgres does not tell is NaN."""
    oldest = activity.oldest_transaction()
    ages = [one.seconds for one in activity.locked_tables()]
    unknown = float("nan")
    yield GaugeMetricFamily(
        "socialapp_oldest_transaction_seconds",
        "Since the oldest transaction on the primary began; consumers of events wait for it.",
        value=0 if oldest is None else unknown if oldest.seconds is None else oldest.seconds,
    )
    yield GaugeMetricFamily(
        "socialapp_locked_tables_seconds",
        "Since the transaction began that has locked a table for the longest time.",
        value=0 if not ages else unknown if None in ages else max(ages),
    )


def _consumers() -> Iterable[Metric]:
    lane = ["consumer", "lane"]
    unread = GaugeMetricFamily("socialapp_consumer_unread_events", "Up to 100,000 are counted.", labels=lane)
    behind = GaugeMetricFamily("socialapp_consumer_behind_seconds", "Since the oldest of them happened.", labels=lane)
    parked = GaugeMetricFamily("socialapp_consumer_parked_events", "Not digested, put aside.", labels=["consumer"])
    by_name = {}
    for row in progress.all_consumers():
        place = [row.offset.consumer, str(row.offset.lane)]
        unread.add_metric(place, row.events)
        behind.add_metric(place, row.seconds)
        by_name[row.offset.consumer] = row.parked
    for name, number in by_name.items():
        parked.add_metric([name], number)
    return [unread, behind, parked]


registry = CollectorRegistry()
COLLECTORS = (
    CacheAudit(),
    CommandLog(),
    Queues(),
    clock_metrics.Clocks(),
    clock_metrics.LogIntegrity(),
    Locks(),
    SharedRevocations(),
    Primary(),
    SplitBrain(),
    replica_metrics.ReplicaLag(),
    Room(),
)
for collector in COLLECTORS:
    registry.register(collector)
