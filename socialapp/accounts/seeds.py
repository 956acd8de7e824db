"""People of the demo world, run by the command `seed`. Nobody knows a password of theirs."""

from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import datetime
from random import Random

from django.contrib.auth.hashers import make_password
from django.db import connections, transaction
from django.utils.text import slugify

from socialapp.accounts.models import User
from socialapp.cqrs.ids import PARTITIONS, id_at
from socialapp.ops import seeding
from socialapp.ops.seeding import World

TABLES = (User,)
COLUMNS = ("id", "username", "name", "bio", "password", "date_joined", "sequence")

# Everybody has joined in the first tenth of the span, so that nobody writes before that.
LAST_JOINED = 0.1
# Leaves room for digits: a username has 30 characters.
LONGEST_STEM = 24
LOCALES = ("en_US", "es_ES", "de_DE")
NAMES_PER_LOCALE = 200


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--users", type=seeding.number_of_rows, default=200, help="people to add (default 200)")


def plan(options: dict) -> dict[str, int]:
    return {"users": options["users"]}


def write(world: World) -> None:
    """Add the users; their ids go to world.ids, in the order in which they joined."""
    ids = world.ids["users"] = []
    people = _people(world)
    joined = world.moments(world.rows["users"], 0, LAST_JOINED)
    usernames = Usernames(world.random)
    for start in range(0, len(joined), seeding.BATCH):
        rows = _rows(world, people, joined[start : start + seeding.BATCH], usernames)
        with transaction.atomic(durable=True):
            seeding.copy(User, COLUMNS, rows)
        ids.extend(row[0] for row in rows)
        world.progress(len(rows))


def _rows(
    world: World, people: Iterator[tuple[str, str]], joined: list[datetime], usernames: "Usernames"
) -> list[tuple]:
    batch = [next(people) for _ in joined]
    chosen = usernames.of([name for name, _ in batch])
    # One for the batch: no password fits any of them, and hashing thousands would take longer than all the rest.
    unusable = make_password(None)
    return [
        (id_at(time, world.random.randrange(PARTITIONS)), username, name, bio, unusable, time, 1)
        for time, username, (name, bio) in zip(joined, chosen, batch, strict=True)
    ]


def _people(world: World) -> Iterator[tuple[str, str]]:
    """Names, each with a few words about the person or none, without end."""
    fakes = [seeding.faker(world.random, locale) for locale in LOCALES]
    first = [fake.first_name() for fake in fakes for _ in range(NAMES_PER_LOCALE)]
    last = [fake.last_name() for fake in fakes for _ in range(NAMES_PER_LOCALE)]
    bios = ["", *(fakes[0].catch_phrase() for _ in range(NAMES_PER_LOCALE))]
    choice = world.random.choice
    while True:
        yield f"{choice(first)} {choice(last)}", choice(bios)


class Usernames:
    """Gives out names that nobody has, neither in this run nor in the database."""

    def __init__(self, random: Random):
        self.used: set[str] = set()
        # Its own luck: how often a name is taken already must not change the rest of the world.
        self.random = Random(random.getrandbits(64))

    def of(self, names: list[str]) -> list[str]:
        stems = [slugify(name).replace("-", "_")[:LONGEST_STEM] for name in names]
        usernames = [self._unused(stem) for stem in stems]
        while taken := _taken(usernames):
            usernames = [
                self._unused(stem) if username in taken else username
                for stem, username in zip(stems, usernames, strict=True)
            ]
        return usernames

    def _unused(self, stem: str) -> str:
        username = stem
        while username in self.used:
            username = f"{stem}{self.random.randrange(1_000_000)}"
        self.used.add(username)
        return username


def _taken(usernames: list[str]) -> set[str]:
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT lower(username) FROM accounts_user WHERE lower(username) = ANY(%s)", [usernames])
        return {username for (username,) in cursor.fetchall()}
