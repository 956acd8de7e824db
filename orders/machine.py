"""What an order may become: the table of transitions, and a handler for each. Checked when handlers are imported."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass

from orders.models import Order, Status
from socialapp.cqrs.commands import Envelope
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.problems import Problem

EXITS: Mapping[Status, Set[Status]] = {
    Status.PENDING: {Status.PAID, Status.CANCELLED, Status.PAYMENT_FAILED},
    Status.PAID: {Status.SHIPPED, Status.CANCELLED},
    Status.SHIPPED: {Status.DELIVERED},
    Status.DELIVERED: frozenset(),
    Status.CANCELLED: frozenset(),
    Status.PAYMENT_FAILED: frozenset(),
}
FIRST = Status.PENDING


class InvalidTransition(Problem):
    status, code, title = 409, "invalid_transition", "The order's status does not allow it"


class WrongMachine(RuntimeError):
    """The table and its handlers do not fit together; nothing starts."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a handler of a transition gets: the order, its row locked, and where to report. It changes `order`'s fields
    (and whatever else the transition means) and emits the event; `move` has seen that it is allowed."""

    order: Order
    envelope: Envelope
    effects: Effects
    reason: str = ""


Handler = Callable[[Change], None]
_handlers: dict[tuple[Status, Status], Handler] = {}


def transition(*sources: Status, to: Status):
    """Declare the handler of the transitions from `sources` to a status."""

    def declare(handler: Handler) -> Handler:
        for source in sources:
            if (source, to) in _handlers:
                raise WrongMachine(f"{source} to {to} has two handlers")
            _handlers[source, to] = handler
        return handler

    return declare


def move(change: Change, to: Status) -> None:
    """Raises InvalidTransition."""
    handler = _handlers.get((Status(change.order.status), to))
    if handler is None:
        raise InvalidTransition(f"An order that is {change.order.status} cannot become {to}.")
    handler(change)


def check(exits: Mapping[Status, Set[Status]] = EXITS, handlers: Mapping = _handlers) -> None:
    """Raises WrongMachine unless every status has its exits and can be reached, and every transition its handler."""
    if missing := set(Status) - set(exits):
        raise WrongMachine(f"no exits are given for {_names(missing)}")
    allowed = {(source, target) for source, targets in exits.items() for target in targets}
    if unhandled := allowed - set(handlers):
        raise WrongMachine(f"no handler for {_arrows(unhandled)}")
    if unknown := set(handlers) - allowed:
        raise WrongMachine(f"a handler for what is not allowed: {_arrows(unknown)}")
    if lost := set(Status) - {FIRST} - {target for _, target in _reachable(allowed)}:
        raise WrongMachine(f"{_names(lost)} cannot be reached")


def _reachable(allowed: Set[tuple[Status, Status]]) -> set[tuple[Status, Status]]:
    """Transitions that an order can make, beginning at FIRST."""
    reached, found = {FIRST}, set()
    while more := {arrow for arrow in allowed - found if arrow[0] in reached}:
        found |= more
        reached |= {target for _, target in more}
    return found


def _names(statuses: Set[Status]) -> str:
    return ", ".join(sorted(statuses))


def _arrows(transitions: Set[tuple[Status, Status]]) -> str:
    return ", ".join(sorted(f"{source} to {target}" for source, target in transitions))
