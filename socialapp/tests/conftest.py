"""Fixtures of tests that work inside this process: real servers, no worker but the test itself."""

import secrets

import pytest

from socialapp.accounts.commands import RegisterUser
from socialapp.cqrs import apply, cache, log, reader, submit, valkey
from socialapp.cqrs.execute import execute
from socialapp.cqrs.ids import PARTITIONS
from socialapp.cqrs.models import InboxClock, InboxCommand

# More than any test needs; a drain that never ends must fail, not hang.
MOST_DRAINS = 200


@pytest.fixture
def clean_stores(servers):
    """Each test starts with an empty log and cache; rows in Postgres may stay, as every test makes its own."""
    valkey.command_log().flushdb()
    InboxCommand.objects.all().delete()
    InboxClock.objects.all().delete()
    submit.breaker.close()
    reader.breaker.close()
    valkey.state().flushdb()
    list(cache.forget())


@pytest.fixture
def author(clean_stores) -> object:
    """The id of a new user."""
    name = f"user_{secrets.token_hex(6)}"
    return execute(RegisterUser(name, "!"), actor_id=None).resource_id


@pytest.fixture
def drain_all(clean_stores):
    """Apply everything that waits, as the workers would."""

    def drain() -> None:
        for partition in range(PARTITIONS):
            for _ in range(MOST_DRAINS):
                if not log.backlog(partition):
                    break
                apply.drain(partition)
            else:
                raise AssertionError(f"partition {partition} still has commands after {MOST_DRAINS} drains")

    return drain
