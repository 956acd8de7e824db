"""The kernel's tables on the primary. Written by apply, execute and the consumers only; read by anyone."""

from django.db import models
from django.db.models import Func, Q
from django.db.models.functions import Now


class CurrentTransaction(Func):
    """The 64-bit id of the running transaction, which never wraps."""

    function = "pg_current_xact_id"
    arity = 0


class TransactionIdField(models.Field):
    """Postgres' xid8: comparable with a snapshot's horizon; 0 stands for before everything."""

    def db_type(self, connection) -> str:
        return "xid8"

    def select_format(self, compiler, sql, params):
        return f"({sql})::text::bigint", params

    def get_prep_value(self, value):
        return None if value is None else str(value)


class CommandResult(models.Model):
    """One row per applied or rejected command, written in the transaction of its effect: exactly once."""

    class Outcome(models.TextChoices):
        APPLIED = "applied"
        REJECTED = "rejected"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True)
    type = models.CharField(max_length=100)
    actor_id = models.UUIDField(null=True)
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001 many rows have none; "" is not none
    fingerprint = models.CharField(max_length=64, null=True)  # noqa: DJ001
    resource_type = models.CharField(max_length=50)
    resource_id = models.UUIDField()
    outcome = models.CharField(max_length=10, choices=Outcome)
    problem = models.JSONField(null=True)
    accepted_at = models.DateTimeField()
    applied_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["actor_id", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="one_result_per_idempotency_key",
            )
        ]
        indexes = [
            models.Index(
                fields=["accepted_at"],
                condition=Q(idempotency_key__isnull=False),
                name="result_with_key_by_age",
            )
        ]

    def __str__(self):
        return f"{self.type} {self.id}: {self.outcome}"


class Event(models.Model):
    """Append-only history, partitioned by the month of `recorded_at` (partitions.py); its `time` is the command's.

    Consumers read it in the order of (xid, position), see consumers.py. (aggregate_id, aggregate_version) is unique
    within each partition; that no version comes again in another month, the lock on the aggregate's row assures.
    """

    position = models.BigAutoField(primary_key=True)
    xid = TransactionIdField(db_default=CurrentTransaction(), editable=False)
    type = models.CharField(max_length=100)
    version = models.PositiveSmallIntegerField()
    aggregate = models.CharField(max_length=50)
    aggregate_id = models.UUIDField()
    aggregate_version = models.BigIntegerField()
    payload = models.JSONField()
    time = models.DateTimeField()
    command_id = models.UUIDField()
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["xid", "position"], name="event_by_cursor"),
            models.Index(fields=["command_id"], name="event_by_command"),
        ]

    def __str__(self):
        return f"{self.position} {self.type}"


class ConsumerOffset(models.Model):
    """How far a lane of a consumer has read; most have one. lanes: among how many it was divided, see lanes.py.

    The lease keeps consumers with outside effects from running twice at once.
    """

    consumer = models.CharField(max_length=100)
    lane = models.PositiveSmallIntegerField(db_default=0)
    lanes = models.PositiveSmallIntegerField(db_default=1)
    xid = TransactionIdField(default=0)
    position = models.BigIntegerField(default=0)
    lease_owner = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["consumer", "lane"], name="one_offset_per_lane")]

    def __str__(self):
        return f"{self.consumer} {self.lane + 1}/{self.lanes}" if self.lanes > 1 else self.consumer


class ParkedEvent(models.Model):
    """An event that a consumer could not digest; it was put aside so that it delays no other.

    retry_at: since when an operator wants it to be tried again.
    """

    consumer = models.CharField(max_length=100)
    event_position = models.BigIntegerField()
    error = models.TextField()
    parked_at = models.DateTimeField(db_default=Now())
    retry_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["consumer", "event_position"], name="an_event_is_parked_once")]

    def __str__(self):
        return f"{self.consumer} {self.event_position}"


class ErrorKind(Func):
    """An error's first line, with # for ids and numbers: what the errors of one cause have in common."""

    template = (
        r"regexp_replace(split_part(%(expressions)s, chr(10), 1),"
        r" '\m([0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9]+)\M', '#', 'g')"
    )
    arity = 1


class DeadLetter(models.Model):
    """A command whose handler kept failing. Nothing of it was applied; an operator decides, see dead_letters.py.

    envelope: as accepted, with the payload as last edited. kind: what letters are grouped by.
    """

    class State(models.TextChoices):
        BURIED = "buried"
        # Decided; on its way to the log, which does not know it yet.
        REQUEUING = "requeuing"
        REQUEUED = "requeued"
        DISCARDED = "discarded"

    command_id = models.UUIDField(primary_key=True)
    type = models.CharField(max_length=100)
    partition = models.PositiveSmallIntegerField()
    envelope = models.JSONField()
    error = models.CharField(max_length=500)
    kind = models.GeneratedField(
        expression=ErrorKind("error"), output_field=models.CharField(max_length=500), db_persist=True
    )
    traceback = models.TextField()
    attempts = models.PositiveSmallIntegerField()
    buried_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=10, choices=State, db_default=State.BURIED)

    class Meta:
        indexes = [
            models.Index(fields=["-buried_at"], name="dead_letter_newest"),
            models.Index(fields=["state", "kind"], name="dead_letter_by_kind"),
        ]

    def __str__(self):
        return f"{self.type} {self.command_id}"


class DeadLetterStep(models.Model):
    """The audit trail of a dead letter: each burial, and what operators did: who, when, what was changed, why.

    reason: the operator's words, or the error of a burial. changes: {field: [before, after]} of the payload.
    """

    class Action(models.TextChoices):
        BURIED = "buried"
        REQUEUED = "requeued"
        EDITED = "edited and requeued"
        DISCARDED = "discarded"

    letter = models.ForeignKey(DeadLetter, on_delete=models.PROTECT, related_name="steps")
    action = models.CharField(max_length=20, choices=Action)
    by = models.CharField(max_length=150)
    actor_id = models.UUIDField(null=True)
    reason = models.TextField()
    changes = models.JSONField(null=True)
    at = models.DateTimeField(db_default=Now())

    def __str__(self):
        return f"{self.letter_id} {self.action} by {self.by}"


class Heartbeat(models.Model):
    """One row, written each second on the primary: what a replica shows of it is how far the replica lags."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    time = models.DateTimeField()
    timeline = models.PositiveIntegerField()
    position = models.BigIntegerField(db_default=0)

    def __str__(self):
        return f"{self.time:%H:%M:%S} on timeline {self.timeline}"


class Timeline(models.Model):
    """One row per failover: up to which position an earlier timeline has certainly survived into the present one."""

    timeline = models.PositiveIntegerField(primary_key=True)
    position = models.BigIntegerField()

    def __str__(self):
        return f"{self.timeline} up to {self.position}"


class InboxCommand(models.Model):
    """A command that was accepted while the log was down, until it has been applied. `body` is as in the log."""

    id = models.UUIDField(primary_key=True)
    partition = models.PositiveSmallIntegerField()
    stamp = models.BigIntegerField()
    body = models.TextField()
    type = models.CharField(max_length=100)
    actor_id = models.UUIDField(null=True)
    resource_type = models.CharField(max_length=50)
    resource_id = models.UUIDField()
    idempotency_key = models.CharField(max_length=255, null=True)  # noqa: DJ001 as in CommandResult
    fingerprint = models.CharField(max_length=64, null=True)  # noqa: DJ001
    # By the primary's clock alone, which `stamp` is not.
    kept_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["actor_id", "idempotency_key"],
                condition=Q(idempotency_key__isnull=False),
                name="one_inbox_command_per_idempotency_key",
            )
        ]
        indexes = [
            models.Index(fields=["partition", "stamp"], name="inbox_order"),
            # For the sum of a user's bytes, with each command that is put there.
            models.Index(fields=["actor_id"], name="inbox_actor"),
        ]

    def __str__(self):
        return f"{self.type} {self.id}"


class LogGeneration(models.Model):
    """A partition of the log as it was last seen (log_history.py). loss: what it has lost since; "" for nothing."""

    partition = models.PositiveSmallIntegerField(primary_key=True)
    generation = models.CharField(max_length=32)
    last_id = models.CharField(max_length=41, default="0-0")
    waiting = models.PositiveIntegerField(default=0)
    loss = models.CharField(max_length=200, default="")
    lost_at = models.DateTimeField(null=True)

    def __str__(self):
        return f"partition {self.partition:x}: {self.loss or 'complete'}"


class InboxClock(models.Model):
    """The last stamp that the inbox gave in a partition; locking the row is what gives them an order."""

    partition = models.PositiveSmallIntegerField(primary_key=True)
    stamp = models.BigIntegerField()

    def __str__(self):
        return f"partition {self.partition:x} at {self.stamp}"
