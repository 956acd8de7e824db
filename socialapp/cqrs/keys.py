"""Every key in Valkey is spelled here: {service}:{version}:{resource}:{scope}:{identifier}, plus a hash tag.

The tag keeps keys that one script touches in one cluster slot: a bucket `{b1f}` for the read cache, a
partition `{p7}` for the command log.
"""

from uuid import UUID
from zlib import crc32

from socialapp.cqrs.ids import partition_of

PREFIX = "socialapp:v1"

# Floors live in this many buckets. Fewer, and one write makes many unrelated misses read the primary; more,
# and an idle cache holds more memory: 4,096 floors are under half a MiB.
BUCKETS = 4096

# Where a body is kept: a key, and a field when the key is a list's hash of pages.
Slot = tuple[str, str]


def entry(resource: str, scope: str, identifier: object) -> str:
    """A cache entry, e.g. socialapp:v1:posts:entity:<id>:{a3f}."""
    name = f"{PREFIX}:{resource}:{scope}:{identifier}"
    return f"{name}:{{{crc32(name.encode()) % BUCKETS:03x}}}"


def kind(entry_key: str) -> tuple[str, str]:
    """(resource, scope) of an entry."""
    _, _, resource, scope, _ = entry_key.split(":", 4)
    return resource, scope


def identifier(entry_key: str) -> str:
    return entry_key.split(":", 4)[4].rpartition(":")[0]


def tag(key: str) -> str:
    return key[key.rindex("{") :]


def lease(entry_key: str) -> str:
    return f"{PREFIX}:lease:{entry_key.removeprefix(PREFIX + ':')}"


def floor(entry_key: str) -> str:
    return f"{PREFIX}:floor:{tag(entry_key)}"


def floor_timeline(entry_key: str) -> str:
    """The timeline of the floor's position; in a key of its own, so that processes of earlier code read the floor."""
    return f"{PREFIX}:floor:timeline:{tag(entry_key)}"


def one_of_each_bucket() -> list[str]:
    """Keys of entries that nobody makes, one for each floor."""
    return [f"{PREFIX}:buckets:floor:none:{{{number:03x}}}" for number in range(BUCKETS)]


def recovery(entry_key: str) -> str:
    """Marks that an invalidation is about to set a floor which the cache had lost."""
    return f"{PREFIX}:recovery:{tag(entry_key)}"


def probe() -> str:
    """Written to find out whether the read cache takes writes; no entry."""
    return f"{PREFIX}:lease:probe:{{000}}"


def is_entry(key: str) -> bool:
    """Whether a key of the read cache is an entry, and not part of the protocol that guards entries."""
    return not key.startswith((f"{PREFIX}:lease:", f"{PREFIX}:floor:", f"{PREFIX}:recovery:"))


def stream(partition: int) -> str:
    return f"{PREFIX}:log:stream:{{p{partition:x}}}"


def wake(partition: int) -> str:
    return f"{PREFIX}:log:wake:{{p{partition:x}}}"


def clock(partition: int) -> str:
    return f"{PREFIX}:log:clock:{{p{partition:x}}}"


def lost_claims(partition: int) -> str:
    """Until when the log may lack claims of idempotency keys, in microseconds; absent after a wipe (claims.py)."""
    return f"{PREFIX}:log:lost-claims:{{p{partition:x}}}"


def status(command_id: UUID) -> str:
    return f"{PREFIX}:log:status:{command_id}:{{p{partition_of(command_id):x}}}"


def idempotency(actor: object, key_digest: str) -> str:
    return f"{PREFIX}:log:idempotency:{{{actor}:{key_digest}}}"


def task_wake(task: str, *arguments: object) -> str:
    """In the state store: the number of the message that is under way for a task with these arguments."""
    return ":".join(map(str, (f"{PREFIX}:tasks:wake", task, *arguments)))


def alive(kind: str) -> str:
    """Processes of a kind in the state store, each with the time until which its last sign of life counts."""
    return f"{PREFIX}:alive:processes:{kind}"


def worker_clocks() -> str:
    """A hash in the state store: seconds by which each worker's clock is ahead of the store's."""
    return f"{PREFIX}:alive:clocks:worker"


def log_generation(partition: int) -> str:
    """A random id that is lost together with the partition's commands (log_history.py)."""
    return f"{PREFIX}:log:generation:{{p{partition:x}}}"


def audit(part: str) -> str:
    """What audits of the read cache share in the state store: the hashes `counts` and `places`."""
    return f"{PREFIX}:audit:cache:{part}"


def cached_timeline() -> str:
    """In the state store: the primary's timeline that the read cache was filled from."""
    return f"{PREFIX}:heartbeat:timeline:cached"


def lock(kind: str, identifier: object) -> str:
    return f"{PREFIX}:locks:{kind}:{identifier}"


def lock_counts() -> str:
    """How often locks were taken and refused: a hash in the state store."""
    return f"{PREFIX}:locks:counts"


def pace(name: str) -> str:
    """In the state store: when the next of what is limited per second may happen, in microseconds."""
    return f"{PREFIX}:pace:next:{name}"


def deaths(partition: int) -> str:
    """How many workers died in the middle of what: a hash by the names of batch and commands."""
    return f"{PREFIX}:log:deaths:{{p{partition:x}}}"


def held(partition: int) -> str:
    """Bytes of waiting commands by user: a hash by the bytes of the user's id."""
    return f"{PREFIX}:log:held:{{p{partition:x}}}"


def waiting(partition: int) -> str:
    """Commands that were set aside: a sorted set by the time when they are due (deferrals.py)."""
    return f"{PREFIX}:log:waiting:{{p{partition:x}}}"


def unreadable(partition: int) -> str:
    """Entries of the log that are no commands, kept for somebody to look at: a stream."""
    return f"{PREFIX}:log:unreadable:{{p{partition:x}}}"


def revocations(part: str) -> str:
    """In the state store: the `stream`, its `generation`, and the mark that it is `complete` (accounts/revoking.py)."""
    return f"{PREFIX}:identity:revocations:{part}"


def known_network(digest: str) -> str:
    """In the state store: somebody signed in to an account from a network; the digest of both."""
    return f"{PREFIX}:known-network:{digest}"


def rate(name: str, digest: str) -> str:
    """In the state store: the bucket of something that may happen so often."""
    return f"{PREFIX}:limits:{name}:{digest}"
