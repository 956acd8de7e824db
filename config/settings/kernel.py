"""What an operator may tune of the kernel; times in seconds."""

from config.settings.env import env

# How long a read waits for a write that its token says is pending; `Prefer: wait=N` asks for another time.
CONSISTENCY_WAIT = env.float("CONSISTENCY_WAIT", default=1.0)

# How many requests of one server process may wait for commands at a time; gunicorn's other threads stay free.
MOST_WAITERS = env.int("MOST_WAITERS", default=12)

# A replica further behind than this serves nobody as long as another server lives.
REPLICA_MAX_LAG = env.float("REPLICA_MAX_LAG", default=10.0)

# A server that takes longer to hand out a connection, or to say how far it is, is passed by.
REPLICA_TIMEOUT = env.float("REPLICA_TIMEOUT", default=0.5)

# Whether the write pool answers 503 while two servers take writes (an old primary beside a promoted one). Off: writes
# go on to DATABASE_URL, and an operator decides which side is kept.
FENCE_WRITES_ON_SPLIT_BRAIN = env.bool("FENCE_WRITES_ON_SPLIT_BRAIN", default=False)

# How many reads of one server process may be at the databases at a time. A few fewer than a pool has connections
# (config/settings/databases.py): the rest are for requests that are not answered from fragments.
MOST_READS = env.int("MOST_READS", default=12)

# How many searches of one server process may be at the databases at a time; more wait for half a second, then they are
# answered 503 `overloaded`. What a cache can answer is no search.
MOST_SEARCHES = env.int("MOST_SEARCHES", default=2)

# How long a command's outcome stays in the log's memory; afterwards its row in Postgres answers. Like the time of
# idempotency keys it shrinks (to 10 s, and to 10 minutes) while the log is between 25 and 50 % full.
COMMAND_RESULT_TTL = env.int("COMMAND_RESULT_TTL", default=120)

IDEMPOTENCY_TTL = env.int("IDEMPOTENCY_TTL", default=24 * 3600)

# With this many commands waiting in a partition, writes to it are answered 503 until workers have caught up. All 16
# together then hold some 220 MB of the log's memory, about 700 bytes each with its status.
LOG_MOST_WAITING = env.int("LOG_MOST_WAITING", default=20_000)

# From this share of the log's memory (its maxmemory) on, writes go to the inbox; the rest is for applying.
LOG_FULL_AT = env.float("LOG_FULL_AT", default=0.75)

# Bytes of one user's commands that may wait in one partition; further ones are answered 503. A post has up to 21 KB.
LOG_MOST_PER_USER = env.int("LOG_MOST_PER_USER", default=2**20)

# Bytes of the inbox on the primary (its table, without indexes), which takes commands while the log is down, and of one
# user's commands there; further ones are answered 503. Indexes add about a third.
INBOX_MOST_BYTES = env.int("INBOX_MOST_BYTES", default=2**28)
INBOX_MOST_PER_USER = env.int("INBOX_MOST_PER_USER", default=2**20)

# A 202 waits until so many replicas of the log have the command on disk (WAITAOF), else it goes to the inbox; 0 where
# the log's own disk is what survives, or the service replicates by itself (MemoryDB).
LOG_REPLICAS = env.int("LOG_REPLICAS", default=0)

# Applied commands stay in the log this long, at most so many per partition, for `manage.py reapply_log`.
LOG_RETENTION = env.int("LOG_RETENTION", default=3600)
LOG_MOST_RETAINED = env.int("LOG_MOST_RETAINED", default=20_000)
# Nor more than this share of the log's memory, over all partitions.
LOG_RETAINED_SHARE = env.float("LOG_RETAINED_SHARE", default=0.25)

# Folders by name whose disks health and metrics watch: name=folder,…
DISKS = env.dict("DISKS", default={})

# How long a CDN in front may answer by itself, 0 to ask each time. It must pass by whoever shows a token, a cookie or
# an identity, as the gateway does.
CDN_MAX_AGE = env.int("CDN_MAX_AGE", default=0)

# Whole months for which events are kept; 0 keeps them for good. What a consumer has not read, or has parked, stays.
EVENT_RETENTION_MONTHS = env.int("EVENT_RETENTION_MONTHS", default=0)
