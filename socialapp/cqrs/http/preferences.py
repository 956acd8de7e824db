"""`Prefer: wait=N` (RFC 7240): how long a client would rather wait than get an unfinished answer."""

import re

from django.http import HttpRequest

LONGEST_WAIT = 10
_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*("?)(\d+)\1\s*(?:$|[,;])', re.ASCII | re.IGNORECASE)


def wait_preference(request: HttpRequest) -> float | None:
    """Seconds, at most 10; None when the client states no preference. What is malformed is no preference."""
    found = _WAIT.search(request.META.get("HTTP_PREFER", ""))
    return float(min(int(found[2][:9]), LONGEST_WAIT)) if found else None
