"""manage.py demo_accounts: the users `demo` and `operator`, with the passwords in the environment. Run it again
to change them."""

import os

from django.contrib.auth.hashers import make_password
from django.core.management.base import BaseCommand, CommandError
from django.db.models.functions import Now

from socialapp.accounts.commands import RegisterUser, SetAccess, SetPassword
from socialapp.accounts.models import User
from socialapp.cqrs import roles
from socialapp.cqrs.execute import execute


class Command(BaseCommand):
    help = "Make or update the users demo and operator (who is staff) from DEMO_PASSWORD and OPERATOR_PASSWORD."

    def handle(self, **options):
        if not roles.may_write():
            raise CommandError(f"A process of role {roles.current()} cannot write; use SOCIALAPP_ROLE=worker.")
        # Both before anything is written.
        demo, operator = required("DEMO_PASSWORD"), required("OPERATOR_PASSWORD")
        ensure("demo", "Demo", demo, operator=False)
        ensure("operator", "Operator", operator, operator=True)
        self.stdout.write("The users demo and operator have the passwords of the environment.")


def required(variable: str) -> str:
    password = os.environ.get(variable)
    if not password:
        raise CommandError(f"{variable} is not set: it is the password that the account gets.")
    return password


def ensure(username: str, name: str, password: str, *, operator: bool) -> None:
    """Registered, able to log in with `password`, and with exactly these rights."""
    if not User.objects.filter(username__iexact=username).exists():
        execute(RegisterUser(username, make_password(password), name=name), actor_id=None)
    user = User.objects.get_by_natural_key(username)
    if not user.check_password(password):
        execute(SetPassword(make_password(password)), actor_id=None, resource_id=user.pk)
    if (user.is_active, user.is_staff) != (True, operator):
        execute(SetAccess(is_active=True, is_staff=operator), actor_id=None, resource_id=user.pk)
    User.objects.filter(pk=user.pk).exclude(is_superuser=operator).update(is_superuser=operator)
    # Nobody reads this mailbox, and the demo shows what customers get.
    own = {"email": f"{username}@socialapp.example", "email_verified_at": Now()}
    User.objects.filter(pk=user.pk, email="").update(**own)
