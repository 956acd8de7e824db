"""The state machine: what is checked when its handlers are imported."""

import pytest

from orders import machine
from orders.machine import EXITS, WrongMachine, check
from orders.models import Status


def handlers() -> dict:
    return {(source, target): print for source, targets in EXITS.items() for target in targets}


def test_the_machine_in_use_is_whole():
    check()
    assert set(EXITS) == set(Status)


def test_a_status_without_exits_is_refused():
    exits = {status: targets for status, targets in EXITS.items() if status != Status.SHIPPED}
    with pytest.raises(WrongMachine, match="no exits are given for shipped"):
        check(exits, handlers())


def test_a_transition_without_a_handler_is_refused():
    known = handlers()
    del known[Status.PAID, Status.SHIPPED]
    with pytest.raises(WrongMachine, match="no handler for paid to shipped"):
        check(EXITS, known)


def test_a_handler_of_what_is_not_allowed_is_refused():
    with pytest.raises(WrongMachine, match="not allowed: delivered to pending"):
        check(EXITS, handlers() | {(Status.DELIVERED, Status.PENDING): print})


def test_a_status_that_nothing_leads_to_is_refused():
    exits = EXITS | {Status.PAID: {Status.CANCELLED}}
    known = {arrow: print for arrow in handlers() if arrow != (Status.PAID, Status.SHIPPED)}
    with pytest.raises(WrongMachine, match="delivered, shipped cannot be reached"):
        check(exits, known)


def test_a_second_handler_is_refused():
    with pytest.raises(WrongMachine, match="two handlers"):
        machine.transition(Status.PENDING, to=Status.PAID)(print)
