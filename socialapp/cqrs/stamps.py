"""The stamp before each entry of the read cache: `<13-digit expiry> <5-digit cost> `, both in milliseconds.

Popular entries are refreshed before they expire, by one reader, while all others are served the old one. When is
drawn anew for each read, so that it needs no agreement: the dearer the load, the earlier. Vattani, Chierichetti and
Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", PVLDB 8(8), 2015 (XFetch, with beta = 1).
"""

import random
import time

LENGTH = 20
_EXPIRY, _COST = slice(0, 13), slice(14, 19)
# Milliseconds. An entry that seems to have expired longer ago than this is still there because clocks differ.
CLOCK_DIFFERENCE = 1_000
# Drawn times are exponential: beyond twenty times the cost there is none in practice.
EARLIEST = 20


def content_of(entry: bytes) -> bytes:
    """What an entry says, without its stamp."""
    return entry[LENGTH:]


def horizon(seconds: float = 10.0) -> bytes:
    """What expires later than this, compared as bytes, need not be looked at any closer."""
    return b"%013d" % ((time.time() + seconds) * 1000)


def is_due(entry: bytes) -> bool:
    """Whether this reader is the one to refresh an entry before it expires."""
    return -CLOCK_DIFFERENCE < _left(entry) <= _cost(entry) * random.expovariate(1)


def may_be_due(entry: bytes) -> bool:
    """Whether `is_due` may say yes."""
    return -CLOCK_DIFFERENCE < _left(entry) <= _cost(entry) * EARLIEST


def _left(entry: bytes) -> float:
    return int(entry[_EXPIRY]) - time.time() * 1000


def _cost(entry: bytes) -> int:
    return int(entry[_COST])
