"""Fixtures of accounts, run inside this process against real servers."""

import secrets

import pytest
from django.contrib.auth.hashers import make_password

from socialapp.accounts.commands import RegisterUser
from socialapp.accounts.models import User
from socialapp.cqrs.execute import execute
from socialapp.tests.client import PASSWORD
from socialapp.tests.conftest import clean_stores  # noqa: F401 a fixture


@pytest.fixture
def person(clean_stores) -> User:  # noqa: F811
    """A new user with the password PASSWORD."""
    return registered(PASSWORD)


@pytest.fixture
def people(clean_stores):  # noqa: F811
    """people(number): new users with the password PASSWORD."""
    return lambda number: [registered(PASSWORD) for _ in range(number)]


def registered(password: str) -> User:
    name = f"user_{secrets.token_hex(6)}"
    executed = execute(RegisterUser(name, make_password(password)), actor_id=None)
    return User.objects.get(pk=executed.resource_id)
