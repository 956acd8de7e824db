"""Commands that the house gives itself: nobody waits for the answer, and a refusal is one."""

import logging
from uuid import UUID

from socialapp.cqrs.execute import execute
from socialapp.cqrs.failures import is_infrastructure
from socialapp.cqrs.problems import Problem, Unavailable

logger = logging.getLogger(__name__)


def carried_out(command: object, order_id: UUID) -> bool:
    """False when it was refused. Raises what the primary said when it was out of reach, or Unavailable: that says
    nothing about the order, and the same is tried again."""
    unavailable = None
    try:
        execute(command, actor_id=None, resource_id=order_id)
    except Unavailable as error:
        unavailable = error
    except Problem as problem:
        logger.info("%s on order %s: %s", type(command).__name__, order_id, problem.detail)
        return False
    if unavailable:
        raise unavailable.__cause__ or unavailable
    return True


def carried_out_or_logged(command: object, order_id: UUID) -> bool:
    """The same in a round over many orders: whatever is wrong with one, the others have their turn."""
    try:
        return carried_out(command, order_id)
    except Exception as error:
        if is_infrastructure(error):
            raise
        logger.exception("%s on order %s failed", type(command).__name__, order_id)
        return False
