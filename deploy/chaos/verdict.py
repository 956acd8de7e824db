"""Compares a ledger with what the primary holds: which accepted writes were lost, took effect twice, or out of order?

Knows nothing of servers, so that tests can plant each of the three.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from deploy.chaos.effects import Effects
from deploy.chaos.ledger import Ledger, Write, accepted

# The event that each applied command of a kind causes; a like that changes nothing causes none.
EVENTS = {"create": "PostCreated", "edit": "PostEdited", "comment": "CommentCreated", "withdraw": "CommentDeleted"}


@dataclass
class Verdict:
    """What is wrong, in words, one text for each case. renamed: how many have their result under another id than
    the answer's, as happens to a key that reached the log and the inbox; the API tells their outcome under both.
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    renamed: int = 0


def judge(ledger: Ledger, effects: Effects) -> Verdict:
    writes = accepted(ledger)
    applied = [write for write in writes if is_applied(write, effects)]
    return Verdict(
        lost=[*without_result(writes, effects), *without_effect(applied, effects), *too_few(applied, effects)],
        doubled=[*doubled_rows(writes, effects), *doubled_events(effects), *too_many(applied, effects)],
        disordered=[
            *rejected(writes, effects),
            *events_out_of_order(applied, effects),
            *wrong_last_text(applied, effects),
            *wrong_last_like(applied, effects),
        ],
        renamed=sum(effects.results[write.key].command_id != write.command_id for write in applied),
    )


def is_applied(write: Write, effects: Effects) -> bool:
    result = effects.results.get(write.key)
    return result is not None and result.outcome == "applied"


# ---- lost ----


def without_result(writes: Ledger, effects: Effects) -> Iterator[str]:
    for write in writes:
        result = effects.results.get(write.key)
        if result is None:
            yield f"{write}: no result"
        elif result.outcome == "failed":
            yield f"{write}: a dead letter"


def without_effect(applied: Ledger, effects: Effects) -> Iterator[str]:
    """Their results say that they were applied."""
    happened = {(event.command_id, event.type) for event in effects.events}
    posts, comments = effects.posts_by_marker(), effects.comments_by_marker()
    for write in applied:
        fact = EVENTS.get(write.kind)
        if fact and (effects.results[write.key].command_id, fact) not in happened:
            yield f"{write}: no event"
        if write.kind == "create" and write.marker not in posts:
            yield f"{write}: no row"
        if write.kind == "comment" and write.marker not in comments:
            yield f"{write}: no row"
        if write.kind == "withdraw" and not all(comment.deleted for comment in comments[write.marker]):
            yield f"{write}: the row lives"


def too_few(applied: Ledger, effects: Effects) -> Iterator[str]:
    for what, difference in miscounts(applied, effects):
        if difference < 0:
            yield f"{what}: {-difference} too few"


# ---- doubled ----


def doubled_rows(writes: Ledger, effects: Effects) -> Iterator[str]:
    posts, comments = effects.posts_by_marker(), effects.comments_by_marker()
    for write in writes:
        found = {"create": posts, "comment": comments}.get(write.kind, {}).get(write.marker, ())
        for _ in found[1:]:
            yield f"{write}: {len(found)} rows"


def doubled_events(effects: Effects) -> Iterator[str]:
    """Each command of a ledger causes one event at most."""
    for command_id, number in Counter(event.command_id for event in effects.events).items():
        for _ in range(number - 1):
            yield f"command {command_id}: {number} events"


def too_many(applied: Ledger, effects: Effects) -> Iterator[str]:
    for what, difference in miscounts(applied, effects):
        if difference > 0:
            yield f"{what}: {difference} too many"


def miscounts(applied: Ledger, effects: Effects) -> Iterator[tuple[str, int]]:
    """(of what, difference) for each count of a post, against what it counts."""
    edits = Counter(write.post for write in applied if write.kind == "edit")
    likes = Counter(post for (post, _), active in effects.likes.items() if active)
    comments = Counter(comment.post for comment in effects.comments if not comment.deleted)
    for post in effects.posts:
        yield f"likes of post {post.id}", post.likes - likes[post.id]
        yield f"comments on post {post.id}", post.comments - comments[post.id]
        yield f"edits in the version of post {post.id}", post.version - 1 - edits[post.id]


# ---- out of order ----


def rejected(writes: Ledger, effects: Effects) -> Iterator[str]:
    """Each is allowed after those that its client has sent before it."""
    for write in writes:
        result = effects.results.get(write.key)
        if result and result.outcome == "rejected":
            yield f"{write}: rejected as {result.code}"


def events_out_of_order(applied: Ledger, effects: Effects) -> Iterator[str]:
    writes = {effects.results[write.key].command_id: write for write in applied}
    last: dict[tuple[str, str], Write] = {}
    for event in effects.events:
        write = writes.get(event.command_id)
        if write is None:
            continue
        before = last.get((write.actor, write.line))
        if before and before.number > write.number:
            yield f"{write}: after {before}"
        last[write.actor, write.line] = write


def wrong_last_text(applied: Ledger, effects: Effects) -> Iterator[str]:
    posts = {post.id: post for post in effects.posts}
    for line in lines(applied, "edit"):
        post = posts.get(line[-1].post)
        if post and post.text != line[-1].text:
            yield f"{line[-1]}: the text is {post.text!r}"


def wrong_last_like(applied: Ledger, effects: Effects) -> Iterator[str]:
    for line in lines(applied, "like", "unlike"):
        last = line[-1]
        if effects.likes.get((last.post, last.actor), False) != (last.kind == "like"):
            yield f"{last}: was the last, and is not what holds"


def lines(applied: Ledger, *kinds: str) -> list[Ledger]:
    """The writes of these kinds, those of each client and line together, in their order."""
    found: dict[tuple[str, str], Ledger] = defaultdict(list)
    for write in applied:
        if write.kind in kinds:
            found[write.actor, write.line].append(write)
    return [sorted(line, key=lambda write: write.number) for line in found.values()]
