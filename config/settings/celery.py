"""Celery: queues for commands, events and what waits for others; a broker whose calls are bounded; ticks of beat."""

from kombu import Queue

from config.settings.env import env


def broker_url(url: str) -> str:
    """kombu's spelling of a Valkey URL: unix:///path?db=0 becomes redis+socket:///path?virtual_host=0."""
    if url.startswith("unix://"):
        return url.replace("unix://", "redis+socket://", 1).replace("db=", "virtual_host=")
    return url


CELERY_BROKER_URL = env.str("BROKER_URL", default=broker_url(env.str("STATE_URL")))
# Celery's defaults, stated: a message in any other format, pickle above all, is refused.
CELERY_ACCEPT_CONTENT = CELERY_RESULT_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = CELERY_EVENT_SERIALIZER = "json"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "commands"
# A queue without a worker must not fill the broker's memory. Every message only says "look" and takes about 1 KB, so
# the oldest is dropped beyond this length: by the queue itself on RabbitMQ, else by cqrs/broker.py.
QUEUE_MAX_LENGTH = 1_000
CELERY_TASK_QUEUES = [Queue(name, max_length=QUEUE_MAX_LENGTH) for name in ("commands", "events", "outside")]
CELERY_TASK_ROUTES = {
    "socialapp.cqrs.tasks.apply_commands": {"queue": "commands"},
    "socialapp.cqrs.tasks.*": {"queue": "events"},
    "socialapp.ops.tasks.*": {"queue": "events"},
    "orders.payments.tasks.look_for_due_payments": {"queue": "events"},
    # They wait for servers of other companies, at times for seconds: with many orders, give this queue more workers.
    "orders.payments.tasks.*": {"queue": "outside"},
    "socialapp.accounts.tasks.send_verifications": {"queue": "outside"},
    "socialapp.accounts.tasks.*": {"queue": "events"},
}

# A task only says "look at the log", so one that is lost or doubled costs nothing: beat ticks every second. Late
# acknowledgement saves that second when a worker dies, and a rejected message goes to another worker at once.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
# Until it is rejected the message of a killed process takes up a place in its worker: by default for 10 to 15 s, as
# Celery looks every 5 s.
CELERY_WORKER_LOST_WAIT = 1.0
# One message per process in reserve. The default of four lets a drain wait behind a busy process beside idle ones.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# Seconds; none by default. A drain hands on after one, but must be free to finish a batch that has to be bisected.
CELERY_TASK_TIME_LIMIT = 60
CELERY_TASK_SOFT_TIME_LIMIT = 45
# A process that has grown (KiB) is replaced after its task: not every leak is found before production finds it.
CELERY_WORKER_MAX_TASKS_PER_CHILD = 50_000
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 500_000
# By default a connection to Postgres is closed before and after each task. Django's own rules (CONN_MAX_AGE, health
# checks) are applied before each task instead, see config/celery.py; so this many tasks is: never.
CELERY_DB_REUSE_MAX = 1_000_000_000
# One message to the broker per task and worker, for a monitor that nobody runs here.
CELERY_WORKER_SEND_TASK_EVENTS = False
# Django has set up logging.
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# A worker waits for its broker however long that is down; by default it gives up, and ends, after a hundred tries.
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None

# By default a publish to a frozen broker hangs for over 12 s; with these it fails in half a second.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 0}
VALKEY = {
    # Every one of the broker's answers; by default they are waited for forever.
    "socket_timeout": 0.5,
    "socket_connect_timeout": 0.5,
    # Seconds until a worker notices that nothing comes any more through a connection that a failover or a firewall
    # has cut without a word: about 1 s more than twice this. By default it is deaf for 51 s.
    "health_check_interval": 3,
    # Just above the longest task; the default of an hour is how long a killed worker's task would wait. Shorter than a
    # task, and it would run a second time beside itself.
    "visibility_timeout": 90,
    # How often somebody looks for such tasks (100 s by default), and how long one who dies while looking bars others.
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 10,
}
# RabbitMQ itself hands on what a killed worker has not acknowledged, at once. A message that it loses costs a tick of
# beat, so publishers do not wait to have each confirmed; seconds for connecting, and for a socket that takes no more.
RABBITMQ = {"connect_timeout": 1, "write_timeout": 0.5}


def transport_options(url: str) -> dict:
    return RABBITMQ if url.startswith("amqp") else VALKEY


CELERY_BROKER_TRANSPORT_OPTIONS = transport_options(CELERY_BROKER_URL)
# Seconds between two signs of life on RabbitMQ's connections: with the default of 120 a worker whose connection was
# cut without a word is deaf for four minutes.
CELERY_BROKER_HEARTBEAT = 3

CELERY_BEAT_SCHEDULE = {
    "wake-partitions": {"task": "socialapp.cqrs.tasks.wake_partitions", "schedule": 1.0, "options": {"expires": 2}},
    "heartbeat": {"task": "socialapp.cqrs.tasks.beat_heartbeat", "schedule": 1.0, "options": {"expires": 2}},
    "wake-consumers": {"task": "socialapp.cqrs.tasks.wake_consumers", "schedule": 1.0, "options": {"expires": 2}},
    "share-revocations": {
        "task": "socialapp.accounts.tasks.share_revocations",
        "schedule": 1.0,
        "options": {"expires": 2},
    },
    "purge-sessions": {"task": "socialapp.accounts.tasks.purge_sessions", "schedule": 3600.0},
    "trim-log": {"task": "socialapp.cqrs.tasks.trim_log", "schedule": 10.0, "options": {"expires": 10}},
    "watch-log": {"task": "socialapp.cqrs.tasks.watch_log", "schedule": 2.0, "options": {"expires": 4}},
    "forget-idempotency-keys": {"task": "socialapp.cqrs.tasks.forget_idempotency_keys", "schedule": 3600.0},
    "audit-cache": {"task": "socialapp.ops.tasks.audit_cache", "schedule": 60.0, "options": {"expires": 60}},
    "end-long-reads": {"task": "socialapp.ops.tasks.end_long_reads", "schedule": 5.0, "options": {"expires": 5}},
    "send-verifications": {
        "task": "socialapp.accounts.tasks.send_verifications",
        "schedule": 2.0,
        "options": {"expires": 4},
    },
    "purge-verifications": {"task": "socialapp.accounts.tasks.purge_verifications", "schedule": 3600.0},
    "append-requeued": {"task": "socialapp.cqrs.tasks.append_requeued", "schedule": 5.0, "options": {"expires": 10}},
    "look-for-due-payments": {
        "task": "orders.payments.tasks.look_for_due_payments",
        "schedule": 1.0,
        "options": {"expires": 2},
    },
    "expire-orders": {"task": "orders.payments.tasks.expire_orders", "schedule": 5.0, "options": {"expires": 10}},
    "keep-event-partitions": {"task": "socialapp.cqrs.tasks.keep_event_partitions", "schedule": 3600.0},
}
