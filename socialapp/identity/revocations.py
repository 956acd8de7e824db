"""Which access tokens are refused before they expire. Each process keeps a copy of the revocations, seconds old.

Rows on the primary are the truth (accounts/revoking.py). Workers add them to a stream in the state store, and each
process reads what is new there: one round trip per second, and none for the requests in between. When the stream cannot
be read, or may lack a row, the rows themselves are read, from the primary or else from a replica.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock

from django.db import Error

from socialapp.cqrs import keys, state_store, valkey
from socialapp.cqrs.problems import Unavailable

logger = logging.getLogger(__name__)

# Seconds between two looks.
REFRESH = 1.0
# A copy of this age in seconds no longer proves that a token is good: staff reads and writes are refused.
OLDEST = 2.5
# Seconds for which a revocation matters: the 15 minutes of an access token, and 5 by which clocks may differ.
KEPT = 20 * 60
# Revocations in a copy, 200 bytes each: 80 each second for 20 minutes. With more the oldest are dropped.
MOST = 100_000
# Entries of the stream per round trip.
BATCH = 5_000
# Seconds until the next try after one that reached nothing, and that a request waits for another one's try.
PAUSE = 0.5
PATIENCE = 3.0

# Where a copy was refreshed from.
STREAM, ROWS, INCOMPLETE = "state store", "database", "state store, maybe incomplete"


@dataclass(frozen=True, slots=True)
class Revocation:
    """Ends the session `session`; without one, all sessions of `user` that began before the rights' `version`.

    kept: the session that goes on all the same, "" for none.
    """

    user: str
    version: int
    session: str = ""
    kept: str = ""


class Copy:
    """The revocations of the last KEPT seconds, by user and by session. One thread adds, any number ask."""

    def __init__(self):
        # Values end with the time after which they no longer matter; the oldest come first.
        self._users: dict[str, tuple[int, str, float]] = {}
        self._sessions: dict[str, tuple[float]] = {}

    def add(self, revocations: Iterable[Revocation]) -> None:
        until = time.monotonic() + KEPT
        for one in revocations:
            if one.session:
                self._sessions.setdefault(one.session, (until,))
            elif one.version > self.version_of(one.user):
                self._users.pop(one.user, None)
                self._users[one.user] = (one.version, one.kept, until)
        for kept in (self._users, self._sessions):
            _prune(kept)

    def version_of(self, user: str) -> int:
        """The version of the rights of `user` after the last revocation, 0 when there was none."""
        return self._users[user][0] if user in self._users else 0

    def refuses(self, user: str, version: int, session: str | None) -> bool:
        """Whether a token of this session, with the rights of this version, has been revoked."""
        if session in self._sessions:
            return True
        found = self._users.get(user)
        return found is not None and version < found[0] and (not session or session != found[1])

    def __len__(self) -> int:
        return len(self._users) + len(self._sessions)


def _prune(kept: dict[str, tuple]) -> None:
    now = time.monotonic()
    while kept:
        oldest = next(iter(kept))
        if len(kept) <= MOST and kept[oldest][-1] > now:
            return
        if len(kept) > MOST:
            logger.error("more than %d revocations in %d s: the oldest is dropped", MOST, KEPT)
        del kept[oldest]


class Stream:
    """The revocations in the state store, from where this process has read them to."""

    def __init__(self):
        self._last = "0-0"
        self._generation: bytes | None = None

    def news(self) -> tuple[list[Revocation], bool]:
        """(What was added since the last call, whether that is all that workers know). Raises valkey.UNREACHABLE."""
        found: list[Revocation] = []
        while True:
            with state_store.breaker:
                generation, entries = self._read()
            if generation and generation != self._generation:
                # Another server, or one that lost its memory, was filled again from the start.
                self._generation, self._last = generation, "0-0"
                continue
            found += [decoded(fields) for _, fields in entries]
            if entries:
                self._last = entries[-1][0].decode()
            if len(entries) < BATCH:
                return found, generation is not None

    def _read(self) -> tuple[bytes | None, list]:
        pipeline = valkey.state().pipeline(transaction=False)
        pipeline.get(keys.revocations("complete"))
        pipeline.xrange(keys.revocations("stream"), min=f"({self._last}", count=BATCH)
        return pipeline.execute()


class Revocations:
    """The copy of this process, refreshed by the requests that ask it. Safe to share between threads and greenlets.

    source: where the copy was refreshed from, for operators.
    """

    def __init__(self):
        self.copy = Copy()
        self.source = "nothing"
        self._stream = Stream()
        self._refreshed_at = self._tried_at = float("-inf")
        self._refreshing = Lock()
        self._rows: Callable[[], Iterable[Revocation]] | None = None

    def read_rows_with(self, rows: Callable[[], Iterable[Revocation]]) -> None:
        """rows: returns the rows of the last KEPT seconds; raises Unavailable or django.db.Error."""
        self._rows = rows

    @property
    def age(self) -> float:
        """Seconds since the copy certainly had everything."""
        return time.monotonic() - self._refreshed_at

    def is_current(self) -> bool:
        """Whether the copy proves that a token is good; refreshed first when it is older than REFRESH."""
        if self.age < REFRESH:
            return True
        # One request refreshes. The others wait only when the copy is too old to be used meanwhile.
        if self._refreshing.acquire(timeout=PATIENCE if self.age > OLDEST else 0):
            try:
                self._refresh()
            finally:
                self._refreshing.release()
        return self.age < OLDEST

    def require_current(self) -> None:
        """Raises Unavailable."""
        if not self.is_current():
            raise Unavailable("It cannot be checked now whether your session has ended. Nothing was changed.")

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._refreshed_at < REFRESH or now - self._tried_at < PAUSE:
            return
        self._tried_at = now
        source = self._from_stream()
        if source != STREAM:
            source = self._from_rows() or source
        if source:
            self.source, self._refreshed_at = source, now

    def _from_stream(self) -> str:
        """Where no database answers, an incomplete stream has to do: a primary that is down revokes nothing, and most
        likely the stream has what it revoked before."""
        try:
            found, is_complete = self._stream.news()
        except (*valkey.UNREACHABLE, KeyError, ValueError) as error:
            logger.warning("revocations cannot be read from the state store: %r", error)
            return ""
        self.copy.add(found)
        return STREAM if is_complete else INCOMPLETE

    def _from_rows(self) -> str:
        try:
            self.copy.add(self._rows())
        except (Unavailable, Error) as error:
            logger.warning("revocations cannot be read from a database: %s", error)
            return ""
        return ROWS


def encoded(revocation: Revocation) -> dict[str, str | int]:
    """As an entry of the stream."""
    return {
        "user": revocation.user,
        "version": revocation.version,
        "session": revocation.session,
        "kept": revocation.kept,
    }


def decoded(fields: dict[bytes, bytes]) -> Revocation:
    return Revocation(
        fields[b"user"].decode(), int(fields[b"version"]), fields[b"session"].decode(), fields[b"kept"].decode()
    )


revocations = Revocations()
