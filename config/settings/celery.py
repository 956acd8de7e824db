"""Celery: two queues (commands, events), a broker whose every call is bounded, and the ticks of beat."""

from config.settings.env import env


def broker_url(url: str) -> str:
    """kombu's spelling of a Valkey URL: unix:///path?db=0 becomes redis+socket:///path?virtual_host=0."""
    if url.startswith("unix://"):
        return url.replace("unix://", "redis+socket://", 1).replace("db=", "virtual_host=")
    return url


CELERY_BROKER_URL = env.str("BROKER_URL", default=broker_url(env.str("STATE_URL")))
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "commands"
CELERY_TASK_ROUTES = {
    "socialapp.cqrs.tasks.apply_commands": {"queue": "commands"},
    "socialapp.cqrs.tasks.*": {"queue": "events"},
    "socialapp.ops.tasks.*": {"queue": "events"},
}

# A task only says "look at the log", so one that is lost or doubled costs nothing: beat ticks every second.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 60
CELERY_TASK_SOFT_TIME_LIMIT = 45
CELERY_WORKER_MAX_TASKS_PER_CHILD = 50_000
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

# By default a publish to a frozen broker hangs for over 12 s; with these it fails in half a second.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 0}
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 0.5,
    "socket_connect_timeout": 0.5,
    # Just above the longest task; the default of an hour is how long a killed worker's task would wait.
    "visibility_timeout": 90,
    "unacked_mutex_expire": 10,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}

CELERY_BEAT_SCHEDULE = {
    "wake-partitions": {"task": "socialapp.cqrs.tasks.wake_partitions", "schedule": 1.0, "options": {"expires": 2}},
    "heartbeat": {"task": "socialapp.cqrs.tasks.beat_heartbeat", "schedule": 1.0, "options": {"expires": 2}},
    "wake-consumers": {"task": "socialapp.cqrs.tasks.wake_consumers", "schedule": 1.0, "options": {"expires": 2}},
    "trim-log": {"task": "socialapp.cqrs.tasks.trim_log", "schedule": 10.0, "options": {"expires": 10}},
    "forget-idempotency-keys": {"task": "socialapp.cqrs.tasks.forget_idempotency_keys", "schedule": 3600.0},
    "audit-cache": {"task": "socialapp.ops.tasks.audit_cache", "schedule": 60.0, "options": {"expires": 60}},
    "append-requeued": {"task": "socialapp.cqrs.tasks.append_requeued", "schedule": 5.0, "options": {"expires": 10}},
    "keep-event-partitions": {"task": "socialapp.cqrs.tasks.keep_event_partitions", "schedule": 3600.0},
}
