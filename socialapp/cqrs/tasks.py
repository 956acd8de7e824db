"""The kernel's Celery tasks. Each only says «look»: losing one delays, doubling one does nothing."""

import logging
import time
from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.db.models.functions import Now

from socialapp.cqrs import (
    apply,
    claims,
    consumers,
    dead_letters,
    deferrals,
    heartbeat,
    inbox,
    log,
    log_history,
    memory,
    pacing,
    partitions,
    promotions,
    retention,
    routing,
    valkey,
    waking,
)
from socialapp.cqrs.models import CommandResult
from socialapp.cqrs.routing import DOWN

logger = logging.getLogger(__name__)

FORGET_AFTER = timedelta(days=1)
FORGET_BATCH = 1000


@shared_task(ignore_result=True)
def apply_commands(partition: int, wake: int | None = None) -> None:
    """Drain one partition of the command log. wake: see `log.set_wake`."""
    if pacing.DRAINS.keep(lambda: apply.drain(partition, wake)):
        _wake(partition)
    # Beat's tick may not come: it needs the state store.
    if memory.is_short():
        retention.trim_partition(partition)


@shared_task(ignore_result=True)
def wake_partitions() -> None:
    """Each second: drain what waits although nobody was woken for it, or whoever was has died."""
    for partition in {*log.waiting_partitions(), *deferrals.waiting_partitions()}:
        _wake(partition, older_than=waking.LOST_AFTER)


def _wake(partition: int, **options: float) -> None:
    wake = log.set_wake(partition, **options)
    if wake:
        waking.wake_partition(partition, wake)


@shared_task(ignore_result=True)
def run_consumer(name: str, lane: int = 0, number: int | None = None) -> None:
    """Let one lane of an event consumer read on. number: of this message; an old one changes nothing."""
    wake = waking.lane_wake(name, lane)
    pause = pacing.CONSUMERS.pause_before(wake)
    if pause and waking.is_old(wake, number):
        return
    time.sleep(pause)
    if not waking.received(wake, number):
        return
    if pacing.CONSUMERS.run(wake, lambda: consumers.run(name, lane)):
        waking.wake_consumer(name, lane)


@shared_task(ignore_result=True)
def wake_consumers() -> None:
    """Each second: let every consumer look, in case that a wake-up was lost."""
    waking.wake_consumers(older_than=waking.LOST_AFTER)


@shared_task(ignore_result=True)
def beat_heartbeat() -> None:
    """Each second: the row by which replicas show their lag, and whether another server was promoted."""
    timeline = heartbeat.beat().timeline
    try:
        promotions.forget_lost_writes(timeline)
    except (*valkey.UNREACHABLE, *routing.DOWN) as error:
        logger.warning("the read cache was not asked which primary it was filled from: %s", error)


@shared_task(ignore_result=True)
def forget_idempotency_keys() -> None:
    """Keys are kept for a day; after that the client may use one again."""
    old = CommandResult.objects.filter(idempotency_key__isnull=False, accepted_at__lt=Now() - FORGET_AFTER)
    while CommandResult.objects.filter(pk__in=old.values("pk")[:FORGET_BATCH]).update(idempotency_key=None):
        pass


@shared_task(ignore_result=True)
def trim_log() -> None:
    """Every ten seconds: let go of what was applied long ago; and note what a log that was wiped has lost."""
    retention.trim()
    if claims.may_have_lost_some():
        claims.note_losses(inbox.newest_key())


@shared_task(ignore_result=True)
def watch_log() -> None:
    """Every two seconds: see whether the log still holds what it held."""
    try:
        log_history.watch()
    except (*valkey.UNREACHABLE, *DOWN) as error:
        logger.warning("the log was not compared with what is known of it: %s", error)


@shared_task(ignore_result=True)
def append_requeued() -> None:
    """Each few seconds: dead letters that an operator has requeued, and that the log does not know yet."""
    dead_letters.append_left_behind()


@shared_task(ignore_result=True)
def keep_event_partitions() -> None:
    """Each hour: the event table's partitions are made months ahead, and dropped after the retention, if one is set."""
    for partition in partitions.missing():
        partitions.create(partition)
    for partition in partitions.expired(months=settings.EVENT_RETENTION_MONTHS):
        reason = partitions.still_needed(partition)
        if reason:
            logger.warning("the event partition %s is kept: %s", partition, reason)
        else:
            partitions.drop(partition)
