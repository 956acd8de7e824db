"""Celery tasks of operation."""

import logging
from collections import Counter

from celery import shared_task

from socialapp.cqrs import audit, routing, waking
from socialapp.cqrs.audit import Look, Subject
from socialapp.cqrs.sampling import sample
from socialapp.ops import auditing, long_reads

logger = logging.getLogger(__name__)

# Entries per minute: a few hundred milliseconds of one worker, and 70,000 a day.
AUDITED = 50


@shared_task(ignore_result=True)
def end_long_reads() -> None:
    """The read role's database user can turn off its own timeouts."""
    long_reads.end_long_reads()


@shared_task(ignore_result=True)
def audit_cache() -> None:
    """Each minute: a first look at some entries of the read cache."""
    try:
        _look_at([audit.subject(*slot) for slot in sample(AUDITED)])
    except (*waking.UNREACHABLE, *routing.DOWN) as error:
        logger.warning("the read cache was not audited: %s", error)


@shared_task(ignore_result=True)
def audit_again(subjects: list[list]) -> None:
    """One more look at what disagreed, after the next grace: no worker sleeps through it."""
    try:
        _look_at([Subject(*subject) for subject in subjects])
    except (*waking.UNREACHABLE, *routing.DOWN) as error:
        logger.warning("%d suspects of the read cache's audit were let go: %s", len(subjects), error)


def _look_at(subjects: list[Subject]) -> None:
    looks = [audit.look(subject) for subject in subjects]
    for look in looks:
        if look.violation:
            key, page = look.violation.slot
            logger.error("the read cache holds a stale entry: %s %s", key, page)
    auditing.add(Counter(outcome for look in looks for outcome in look.outcomes.items()))
    _look_again(looks)


def _look_again(looks: list[Look]) -> None:
    left = [look.again for look in looks if look.again]
    if left:
        # All of them were looked at equally often.
        passed, following = audit.GRACES[left[0].looks - 1 : left[0].looks + 1]
        audit_again.apply_async((left,), countdown=following - passed)
