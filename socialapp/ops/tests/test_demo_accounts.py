"""The two accounts that a new stack has, made and remade from the environment."""

import pytest
from django.core.management.base import CommandError

from socialapp.accounts import refresh
from socialapp.accounts.commands import SetAccess
from socialapp.accounts.models import User
from socialapp.cqrs import roles
from socialapp.cqrs.execute import execute
from socialapp.cqrs.models import Event


@pytest.fixture(autouse=True)
def passwords(monkeypatch):
    monkeypatch.setenv("DEMO_PASSWORD", "first demo password")
    monkeypatch.setenv("OPERATOR_PASSWORD", "first operator password")


@pytest.fixture
def demo(run) -> User:
    run("demo_accounts")
    return User.objects.get(username="demo")


@pytest.mark.parametrize("variable", ["DEMO_PASSWORD", "OPERATOR_PASSWORD"])
def test_a_missing_password_is_named(run, monkeypatch, variable):
    monkeypatch.delenv(variable)
    with pytest.raises(CommandError, match=variable):
        run("demo_accounts")


def test_a_role_that_cannot_write_is_refused(run, monkeypatch):
    monkeypatch.setattr(roles, "current", lambda: roles.Role.READ)
    with pytest.raises(CommandError, match="role read cannot write"):
        run("demo_accounts")


def test_one_is_a_user_and_one_an_operator(demo):
    operator = User.objects.get(username="operator")
    assert demo.check_password("first demo password")
    assert operator.check_password("first operator password")
    assert (demo.is_staff, demo.is_superuser) == (False, False)
    assert (operator.is_staff, operator.is_superuser) == (True, True)


def test_they_have_a_history(demo):
    history = Event.objects.filter(aggregate_id=demo.pk).order_by("aggregate_version")
    assert history[0].type == "UserRegistered"
    assert demo.sequence == len(history)


def test_again_changes_nothing(demo, run):
    events, (_, token) = Event.objects.count(), refresh.begin(demo)
    run("demo_accounts")
    assert Event.objects.count() == events
    assert refresh.rotate(token)


def test_a_new_password_ends_what_the_old_one_began(demo, run, monkeypatch):
    _, token = refresh.begin(demo)
    monkeypatch.setenv("DEMO_PASSWORD", "second demo password")
    run("demo_accounts")
    demo.refresh_from_db()
    assert demo.check_password("second demo password")
    with pytest.raises(refresh.InvalidRefreshToken):
        refresh.rotate(token)


def test_rights_are_as_they_should_be(demo, run):
    execute(SetAccess(is_active=False, is_staff=True), actor_id=None, resource_id=demo.pk)
    run("demo_accounts")
    demo.refresh_from_db()
    assert (demo.is_active, demo.is_staff) == (True, False)
