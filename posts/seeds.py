"""Posts, comments and likes of the demo world, run by the command `seed`. A few posts get most of both.

A batch holds posts with all that belongs to them, so that counts and rows agree after each of its transactions.
"""

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from random import Random
from uuid import UUID

from django.core.management.base import CommandError
from django.db import connections, transaction

from posts.handlers.posts import hashtags_of
from posts.models import Comment, Like, Post
from socialapp.cqrs.ids import PARTITIONS, id_at, partition_of
from socialapp.ops import seeding
from socialapp.ops.seeding import World

TABLES = (Post, Comment, Like)
POST = ("id", "author_id", "text", "hashtags", "created_at", "like_count", "comment_count", "sequence")
COMMENT = ("id", "post_id", "author_id", "text", "created_at")
LIKE = ("post_id", "user_id", "stamp", "active")

# Of the span: people have joined before, see accounts/seeds.py.
FIRST_POSTED = 0.1
SENTENCES = 3_000
HASHTAGS = (
    "photography", "travel", "music", "coffee", "books", "python", "cooking", "running", "cycling", "gardening",
    "football", "movies", "art", "design", "nature", "science", "history", "startups", "climate", "health", "fitness",
    "yoga", "hiking", "gaming", "podcasts", "fashion", "diy", "baking", "cats", "dogs", "space", "linux", "django",
)  # fmt: skip


def add_arguments(parser: ArgumentParser) -> None:
    number = seeding.number_of_rows
    parser.add_argument("--posts", type=number, default=2000, help="posts of the new users (default 2000)")
    parser.add_argument("--comments", type=number, help="on the new posts (default 2 per post)")
    parser.add_argument("--likes", type=number, help="of the new posts by the new users (default 5 per post)")


def plan(options: dict) -> dict[str, int]:
    """Raises CommandError when there are too few posts and users for the rest."""
    users, posts, comments, likes = (options[kind] for kind in ("users", "posts", "comments", "likes"))
    # Each user likes a post once.
    most_likes = users * posts
    comments = 2 * posts if comments is None else comments
    likes = min(5 * posts, most_likes) if likes is None else likes
    if posts and not users:
        raise CommandError("Posts need --users to write them.")
    if comments and not posts:
        raise CommandError("Comments need --posts.")
    if likes > most_likes:
        raise CommandError(f"{users} users and {posts} posts allow --likes {most_likes} at most.")
    return {"posts": posts, "comments": comments, "likes": likes}


@dataclass(frozen=True, slots=True)
class Story:
    """The rows of a post and of what came after it."""

    post: tuple
    comments: list[tuple]
    likes: list[tuple]

    def __len__(self) -> int:
        return 1 + len(self.comments) + len(self.likes)


class Crowd:
    """The users by how much they write: a few write most."""

    def __init__(self, users: list[UUID], random: Random):
        self.users = random.sample(users, len(users))
        self.weights = list(accumulate(seeding.zipf(len(users))))
        self.random = random

    def writers(self, count: int) -> list[UUID]:
        return self.random.choices(self.users, cum_weights=self.weights, k=count)

    def likers(self, count: int) -> list[UUID]:
        return self.random.sample(self.users, count)


class Phrases:
    """Texts from a pool of sentences, posts with hashtags behind them."""

    def __init__(self, random: Random):
        fake = seeding.faker(random)
        self.sentences = [fake.sentence(nb_words=10) for _ in range(SENTENCES)]
        self.weights = list(accumulate(seeding.zipf(len(HASHTAGS))))
        self.random = random

    def comment(self) -> str:
        return self.random.choice(self.sentences)

    def post(self) -> str:
        words = [self.comment() for _ in range(self.random.randint(1, 3))]
        tags = self.random.choices(HASHTAGS, cum_weights=self.weights, k=self.random.randint(0, 3))
        return " ".join([*words, *(f"#{tag}" for tag in tags)])


def write(world: World) -> None:
    if not world.rows["posts"]:
        return
    hottest, most_liked = None, -1
    for batch in _batches(Stories(world)):
        with transaction.atomic(durable=True):
            _write(batch)
        world.progress(sum(map(len, batch)))
        best = max(batch, key=lambda story: len(story.likes))
        if len(best.likes) > most_liked:
            hottest, most_liked = best.post[0], len(best.likes)
    if hottest:
        world.highlights["a hot post"] = str(hottest)


def _batches(stories: Iterable[Story]) -> Iterator[list[Story]]:
    batch, size = [], 0
    for story in stories:
        batch.append(story)
        size += len(story)
        if size >= seeding.BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write(batch: list[Story]) -> None:
    seeding.copy(Post, POST, (story.post for story in batch))
    seeding.copy(Comment, COMMENT, (row for story in batch for row in story.comments))
    seeding.copy(Like, LIKE, (row for story in batch for row in story.likes))
    _count(Counter(story.post[1] for story in batch))


def _count(posts: Counter[UUID]) -> None:
    """As the consumer `post-counts` would have done."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            """
            UPDATE accounts_user SET post_count = post_count + new.posts, sequence = sequence + 1
            FROM unnest(%s::uuid[], %s::int[]) AS new (id, posts) WHERE accounts_user.id = new.id
            """,
            [list(posts.keys()), list(posts.values())],
        )


class Stories:
    """The stories of a world, in the order of their posts' times, so that the index of posts grows at its end."""

    def __init__(self, world: World):
        self.world = world
        self.random = world.random
        self.crowd = Crowd(world.ids["users"], world.random)
        self.phrases = Phrases(world.random)

    def __iter__(self) -> Iterator[Story]:
        moments = self.world.moments(self.world.rows["posts"], FIRST_POSTED, 1)
        authors = self.crowd.writers(len(moments))
        for moment, author, (likes, comments) in zip(moments, authors, self._reactions(), strict=True):
            yield self._story(moment, author, likes, comments)

    def _reactions(self) -> list[tuple[int, int]]:
        """(likes, comments) per post: what is liked most is commented on most, whenever it was written."""
        rows, users = self.world.rows, len(self.world.ids["users"])
        likes = seeding.shares(rows["likes"], rows["posts"], most=users, random=self.random)
        comments = seeding.shares(rows["comments"], rows["posts"], most=rows["comments"], random=self.random)
        pairs = list(zip(likes, comments, strict=True))
        self.random.shuffle(pairs)
        return pairs

    def _story(self, moment: datetime, author: UUID, likes: int, comments: int) -> Story:
        post_id = id_at(moment, self.random.randrange(PARTITIONS))
        text = self.phrases.post()
        # One event for the post, and one for each thing that happened to it.
        sequence = 1 + likes + comments
        post = (post_id, author, text, hashtags_of(text), moment, likes, comments, sequence)
        return Story(post, self._comments(post_id, moment, comments), self._likes(post_id, moment, likes))

    def _comments(self, post_id: UUID, moment: datetime, count: int) -> list[tuple]:
        partition, times = partition_of(post_id), self._later(moment, count)
        return [
            (id_at(time, partition), post_id, writer, self.phrases.comment(), time)
            for time, writer in zip(times, self.crowd.writers(count), strict=True)
        ]

    def _likes(self, post_id: UUID, moment: datetime, count: int) -> list[tuple]:
        return [
            (post_id, liker, int(time.timestamp() * 1_000_000), True)
            for time, liker in zip(self._later(moment, count), self.crowd.likers(count), strict=True)
        ]

    def _later(self, moment: datetime, count: int) -> list[datetime]:
        """Times between `moment` and now; soon after is likelier."""
        left = self.world.end - moment
        return [moment + left * self.random.random() ** 3 for _ in range(count)]
