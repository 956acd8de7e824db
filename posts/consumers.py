"""What follows from events about posts: the counts that many partitions touch."""

from collections import Counter
from datetime import datetime
from uuid import UUID

from django.db import connections

from posts.events import PostCreated, PostDeleted
from socialapp.accounts.events import PostsCounted
from socialapp.cqrs import servers
from socialapp.cqrs.consumers import consumer
from socialapp.cqrs.events import Recorded, record
from socialapp.cqrs.ids import new_id

# Posts that no event recorded since then tells of: they are older, or came without one (manage.py seed).
BASELINE = """
    SELECT author_id::text, count(*) FROM posts_post AS post
    WHERE NOT EXISTS (SELECT FROM cqrs_event WHERE aggregate_id = post.id AND type = 'PostCreated'
                      AND recorded_at >= %(since)s)
      AND (deleted_at IS NULL
           OR EXISTS (SELECT FROM cqrs_event WHERE aggregate_id = post.id AND type = 'PostDeleted'
                      AND recorded_at >= %(since)s))
    GROUP BY author_id
"""


class PostCounts:
    """`post_count` of all users, made again in memory: 100 bytes for each who has posted."""

    folds = (PostCreated, PostDeleted)

    def begin(self, since: datetime) -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute(BASELINE, {"since": since})
            self.counts = Counter(dict(cursor.fetchall()))

    def fold(self, batch: list[Recorded]) -> None:
        for author_id, difference in differences(batch).items():
            self.counts[author_id] += difference

    def difference(self) -> dict[str, tuple[int, int]]:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT id::text, post_count FROM accounts_user")
            return {user_id: (live, self.counts[user_id]) for user_id, live in cursor if live != self.counts[user_id]}

    def swap(self, difference: dict[str, tuple[int, int]]) -> None:
        changed = {user_id: rebuilt - live for user_id, (live, rebuilt) in difference.items()}
        change(changed, servers.primary_time(), new_id())


@consumer("post-counts", rebuild=PostCounts)
def count_posts(events: list[Recorded]) -> None:
    """Keep `post_count` of users. One consumer writes it, so that partitions do not wait for each other."""
    change(differences(events), events[-1].time, events[-1].command_id)


def differences(events: list[Recorded]) -> Counter[str]:
    """By how much the posts of each author have become more."""
    difference: Counter[str] = Counter()
    for recorded in events:
        match recorded.event:
            case PostCreated(author_id=author_id):
                difference[author_id] += 1
            case PostDeleted(author_id=author_id):
                difference[author_id] -= 1
    return difference


def change(difference: dict[str, int], time: datetime, command_id: UUID) -> None:
    """Add to the counts, and record what they are now."""
    changed = sorted((author_id, n) for author_id, n in difference.items() if n)
    if not changed:
        return
    with connections["default"].cursor() as cursor:
        cursor.execute(
            """
            UPDATE accounts_user SET post_count = post_count + new.difference, sequence = sequence + 1
            FROM unnest(%s::uuid[], %s::int[]) AS new (id, difference) WHERE accounts_user.id = new.id
            RETURNING accounts_user.id, username, post_count, sequence
            """,
            [[author_id for author_id, _ in changed], [n for _, n in changed]],
        )
        rows = cursor.fetchall()
    record(
        [
            Recorded(PostsCounted(username, count), user_id, sequence, time, command_id)
            for user_id, username, count, sequence in rows
        ]
    )
