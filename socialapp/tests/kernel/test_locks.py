"""Locks in a real state store: one holder, owners that are compared, and closed when the store cannot be asked."""

import os
import signal
import time

import pytest

from socialapp.cqrs import keys, locks, valkey
from socialapp.cqrs.locks import Locked, exclusive
from socialapp.cqrs.problems import Unavailable

pytestmark = pytest.mark.usefixtures("clean_stores")


def test_one_holds_it_and_the_other_is_told():
    with exclusive("order", 1), pytest.raises(Locked), exclusive("order", 1):
        pass
    with exclusive("order", 1), exclusive("order", 2):
        pass
    assert locks.counts() == {
        ("order", "acquired"): 3, ("order", "refused"): 1, ("order", "waited"): locks.counts()["order", "waited"],
    }  # fmt: skip


def test_whoever_has_patience_gets_it_when_it_is_free():
    valkey.state().set(keys.lock("order", 1), "somebody", px=150)
    with exclusive("order", 1, patience=2):
        assert valkey.state().get(keys.lock("order", 1)) != b"somebody"
    assert not valkey.state().exists(keys.lock("order", 1))


def test_patience_has_an_end():
    with exclusive("order", 1), pytest.raises(Locked), exclusive("order", 1, patience=0.2):
        pass


def test_an_expired_lock_is_not_taken_from_its_next_holder():
    with exclusive("order", 1):
        valkey.state().set(keys.lock("order", 1), "the next one")
    assert valkey.state().get(keys.lock("order", 1)) == b"the next one"


def test_it_expires_when_its_holder_dies():
    with exclusive("order", 1):
        assert 0 < valkey.state().pttl(keys.lock("order", 1)) <= locks.EXPIRY * 1000


def test_it_is_released_when_the_work_fails():
    with pytest.raises(ZeroDivisionError), exclusive("order", 1):
        raise ZeroDivisionError
    assert not valkey.state().exists(keys.lock("order", 1))


def test_a_store_that_cannot_be_asked_locks_everybody_out(servers):
    pid, done = servers.pid("valkey-state"), []
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable), exclusive("order", 1, patience=2):
            done.append(time.monotonic())
    finally:
        os.kill(pid, signal.SIGCONT)
    assert not done


def test_a_store_that_is_lost_meanwhile_does_not_undo_what_was_done(servers):
    pid = servers.pid("valkey-state")
    try:
        with exclusive("order", 1):
            os.kill(pid, signal.SIGSTOP)
    finally:
        os.kill(pid, signal.SIGCONT)
