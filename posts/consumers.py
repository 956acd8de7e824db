"""What follows from events about posts: the counts that many partitions touch."""

from collections import Counter

from django.db import connections

from posts.events import PostCreated, PostDeleted
from socialapp.accounts.events import PostsCounted
from socialapp.cqrs.consumers import consumer
from socialapp.cqrs.events import Recorded, record


@consumer("post-counts")
def count_posts(events: list[Recorded]) -> None:
    """Keep `post_count` of users. One consumer writes it, so that partitions do not wait for each other."""
    difference: Counter[str] = Counter()
    for recorded in events:
        match recorded.event:
            case PostCreated(author_id=author_id):
                difference[author_id] += 1
            case PostDeleted(author_id=author_id):
                difference[author_id] -= 1
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
    cause = events[-1]
    record(
        [
            Recorded(PostsCounted(username, count), user_id, sequence, cause.time, cause.command_id)
            for user_id, username, count, sequence in rows
        ]
    )
