"""A circuit breaker around a server that readers can do without: after a failure nobody asks it for a while.

After M. Nygard, "Release It!", chapter 5. One per process and server; safe to share between threads and greenlets.
"""

import random
import time
from threading import Lock
from weakref import WeakSet

from redis.exceptions import ConnectionError as ServerUnreachable
from redis.exceptions import OutOfMemoryError

from socialapp.cqrs import valkey


class Open(ServerUnreachable):
    """The server failed a moment ago and was not asked again."""


class Breaker:
    """`with breaker:` around each call of a Valkey: raises Open while it is open, and trips on what UNREACHABLE names,
    except when the server says that it is full: then it answers.
    Around anything else: ask `admits`, then tell it with `trip` or `close` what came of it.

    open_for: seconds, jittered, so that processes do not come back all at once. Then one caller at a time probes,
    for at most `probe` seconds.
    """

    _all: "WeakSet[Breaker]" = WeakSet()

    def __init__(self, *, open_for: tuple[float, float], probe: float):
        self._open_for = open_for
        self._probe = probe
        self._closed = True
        self._ask_again_at = 0.0
        self._lock = Lock()
        self._all.add(self)

    @classmethod
    def close_all(cls) -> None:
        """Close every breaker of this process, as in a new one: for tests."""
        for breaker in list(cls._all):
            breaker.close()

    @property
    def is_open(self) -> bool:
        return not self._closed

    def admits(self) -> bool:
        """Whether this caller may ask. While open that is a probe, and the others wait for what it finds."""
        if self._closed:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._ask_again_at:
                return False
            self._ask_again_at = now + self._probe
            return True

    def trip(self) -> None:
        self._closed = False
        self._ask_again_at = time.monotonic() + random.uniform(*self._open_for)

    def close(self) -> None:
        self._closed = True

    def __enter__(self) -> None:
        if not self.admits():
            raise Open("the server failed a moment ago")

    def __exit__(self, kind, error, traceback) -> None:
        if error is None or isinstance(error, OutOfMemoryError):
            self.close()
        elif isinstance(error, valkey.UNREACHABLE):
            self.trip()
