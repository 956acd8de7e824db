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
    name = f"user_{secrets.token_hex(6)}"
    executed = execute(RegisterUser(name, make_password(PASSWORD)), actor_id=None)
    return User.objects.get(pk=executed.resource_id)
