"""After a failover: which positions of earlier timelines the present primary's history contains.

Positions of different timelines do not compare. The first heartbeat of a new timeline keeps how much of the old one
has certainly survived: a token up to there is kept for good, and one beyond it may stand for a write that was lost,
or for one on a primary that is still alive (split brain).
"""

from django.db import connections

from socialapp.cqrs import heartbeat, servers
from socialapp.cqrs.consistency import Token
from socialapp.cqrs.servers import Source

# Seconds after a promotion in which a token keeps its positions on the older timeline: somebody may still write there.
SETTLING = 5.0

# The heartbeat itself still stands for the old timeline until the first one of the new is written.
SURVIVED = """
    SELECT timeline, max(position) FROM (
        SELECT timeline, position FROM cqrs_timeline
        UNION ALL SELECT timeline, position FROM cqrs_heartbeat
    ) AS known WHERE timeline = ANY(%s) GROUP BY timeline
"""


def contains(source: Source, token: Token) -> bool:
    """Whether all that `token` stands for is certainly visible on `source`. Asks it only after a failover."""
    older = {}
    for timeline, position in token.positions().items():
        if timeline > source.timeline or (timeline == source.timeline and position > source.position):
            return False
        if timeline < source.timeline:
            older[timeline] = position
    return not lost(source, older)


def lost(source: Source, positions: dict[int, int]) -> dict[int, int]:
    """Those of `positions` ({timeline: position}), all older than the source's timeline, that may be lost there."""
    if not positions:
        return {}
    with connections[source.alias].cursor() as cursor:
        cursor.execute(SURVIVED, [list(positions)])
        survived = dict(cursor.fetchall())
    return {timeline: at for timeline, at in positions.items() if at > survived.get(timeline, 0)}


def carried_over(source: Source, token: Token) -> tuple[Token, bool]:
    """(`token` without the positions of timelines before the source's, whether none of them may be lost).

    What may be lost is told once: the client goes on with a token that can be kept. But a position is not given up
    while its timeline may be alive, since the next read would then be `strong` without the client's own write.
    """
    older = {timeline: at for timeline, at in token.positions().items() if timeline < source.timeline}
    if servers.apart(source):
        return token, False
    if not lost(source, older):
        return token.since(source.timeline), True
    return (token.since(source.timeline) if _is_settled() else token), False


def _is_settled() -> bool:
    return heartbeat.undisputed_for() >= SETTLING and len(servers.primaries()) < 2
