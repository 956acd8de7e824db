"""A circuit breaker around a server that readers can do without: after a failure nobody asks it for a while.

After M. Nygard, "Release It!", chapter 5. One per process and server; safe to share between threads and greenlets.
"""

import random
import time

from redis.exceptions import ConnectionError as ServerUnreachable

from socialapp.cqrs import valkey


class Open(ServerUnreachable):
    """The server failed a moment ago and was not asked again."""


class Breaker:
    """`with breaker:` around each call. Raises Open while it is open; trips on what UNREACHABLE names.

    open_for: seconds, jittered, so that processes do not come back all at once. Then one caller at a time probes.
    """

    def __init__(self, *, open_for: tuple[float, float], probe: float):
        self._open_for = open_for
        self._probe = probe
        self._closed = True
        self._ask_again_at = 0.0

    @property
    def is_open(self) -> bool:
        return not self._closed

    def __enter__(self) -> None:
        if self._closed:
            return
        now = time.monotonic()
        if now < self._ask_again_at:
            raise Open("the server failed a moment ago")
        # This caller probes; the others wait for what it finds.
        self._ask_again_at = now + self._probe

    def __exit__(self, kind, error, traceback) -> None:
        if error is None:
            self._closed = True
        elif isinstance(error, valkey.UNREACHABLE):
            self._closed = False
            self._ask_again_at = time.monotonic() + random.uniform(*self._open_for)
