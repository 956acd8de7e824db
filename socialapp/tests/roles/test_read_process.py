"""A process of role read: what it knows, and what its own code may try in vain."""

import os
import subprocess
import sys

import psutil
import pytest

POOLS = ("read-1", "read-2")


def secrets_of(stack) -> list[str]:
    held = stack.cast.secret
    return [
        held.write_password,
        held.superuser_password,
        held.replication_password,
        held.jwt_private_key,
        held.stamp_key,
    ]


def test_its_environment_holds_no_secret_to_write_with(stack):
    environment = stack.environment("read")
    assert {"DATABASE_URL", "JWT_PRIVATE_KEY", "STAMP_KEY"} & environment.keys() == set()
    for secret in secrets_of(stack):
        assert secret not in "".join(environment.values())


@pytest.mark.parametrize("pool", POOLS)
def test_neither_do_the_servers_that_run(stack, pool):
    server = psutil.Process(stack.pid(pool))
    processes = [server, *server.children(recursive=True)]
    assert len(processes) >= 2
    for process in processes:
        with open(f"/proc/{process.pid}/environ") as file:
            environment = file.read()
        assert "SOCIALAPP_ROLE=read" in environment
        assert "\0DATABASE_URL=" not in environment and "\0JWT_PRIVATE_KEY=" not in environment
        assert not [secret for secret in secrets_of(stack) if secret in environment]


@pytest.mark.parametrize("pool", POOLS)
def test_nor_their_command_lines(stack, pool):
    for process in [psutil.Process(stack.pid(pool)), *psutil.Process(stack.pid(pool)).children(recursive=True)]:
        assert not [secret for secret in secrets_of(stack) if secret in " ".join(process.cmdline())]


ATTEMPTS = {
    "create": "Post.objects.create(id=new_id(), author_id=new_id(), text='x', created_at=timezone.now())",
    "save": "Post(id=new_id(), text='x').save()",
    "bulk_create": "Post.objects.bulk_create([Post(id=new_id(), text='x')])",
    "update": "Post.objects.update(text='x')",
    "delete": "Post.objects.all().delete()",
    "get_or_create": "User.objects.get_or_create(username='nobody_is_called_so')",
    "update_or_create": "User.objects.update_or_create(username='nobody_is_called_so')",
    "instance.delete": "User(pk=new_id()).delete()",
    "set_password": "User.objects.create_superuser('root', 'x')",
    "submit": "submit(LikePost(), actor_id=new_id(), resource_id=new_id())",
    "execute": "execute(LikePost(), actor_id=new_id(), resource_id=new_id())",
}
# Whoever names a database asks no router; then Postgres refuses.
AROUND_THE_ROUTER = {
    "using.update": "Post.objects.using('default').update(text='x')",
    "using.create": "User.objects.using('default').create(username='x')",
    "save(using)": "User(username='x').save(using='default')",
    "raw": "connections['default'].cursor().execute('DELETE FROM posts_post')",
    "raw on a replica": "connections['replica1'].cursor().execute('DELETE FROM posts_post')",
}
SCRIPT = """
import sys
import django
django.setup()
from django.apps import apps
from django.db import connections, router
from django.utils import timezone
from posts.commands import LikePost
from posts.models import Post
from socialapp.accounts.models import User
from socialapp.cqrs.execute import execute
from socialapp.cqrs.ids import new_id
from socialapp.cqrs.roles import WriteInReadRole
from socialapp.cqrs.submit import submit

def written_by(model):
    try:
        return router.db_for_write(model)
    except WriteInReadRole:
        return None

for line in sys.stdin.read().splitlines():
    try:
        print('done:', eval(line))
    except Exception as error:
        print(type(error).__name__, '|', str(error.__cause__ or '').partition(chr(10))[0])
"""


def attempted(stack, attempts: list[str]) -> list[str]:
    """What became of each expression in a process of role read."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= stack.environment("read") | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input="\n".join(attempts),
        env=environment,
        cwd=stack.layout.checkout,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_writes_through_the_orm_raise_write_in_read_role(stack):
    outcomes = dict(zip(ATTEMPTS, attempted(stack, list(ATTEMPTS.values())), strict=True))
    assert {name: outcome for name, outcome in outcomes.items() if not outcome.startswith("WriteInReadRole")} == {}


def test_no_model_is_written_in_this_role(stack):
    found = attempted(stack, ["len(apps.get_models())", "[m for m in apps.get_models() if written_by(m) is not None]"])
    assert int(found[0].removeprefix("done: ")) > 10
    assert found[1] == "done: []"


def test_writes_around_the_router_are_refused_by_postgres(stack):
    outcomes = dict(zip(AROUND_THE_ROUTER, attempted(stack, list(AROUND_THE_ROUTER.values())), strict=True))
    assert {name: outcome for name, outcome in outcomes.items() if "read-only transaction" not in outcome} == {}
