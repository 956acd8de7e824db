"""The pytest plugin: a session's own stack of real servers. Nothing here is shared with a stack of `make up`.

`servers`: primary, replica and the three Valkeys; this process works on its own database and Valkey databases.
`stack`: all of it, with gateway, pools and workers. `api`: a client of the gateway.
"""

import os
import signal
import tempfile
from pathlib import Path

import pytest

from deploy.embedded.stack import Stack
from deploy.embedded.wipe import delete_everything
from socialapp.tests.client import Api, register

CHECKOUT = Path(__file__).resolve().parents[2]
DATABASE = "socialapp_test"


def pytest_addoption():
    """The first hook of all: settings are read soon after, and they want to know where the servers will be."""
    var = Path(tempfile.mkdtemp(prefix="socialapp-test-"))
    # Postgres may run as another user, who has to pass through.
    var.chmod(0o711)
    pytest.socialapp_stack = Stack(var=var, port=0, checkout=CHECKOUT)
    os.environ.update(own_environment(pytest.socialapp_stack))


def own_environment(stack: Stack) -> dict[str, str]:
    """The worker's environment, but with databases of its own, so that the stack's workers do not interfere."""
    environment = stack.environment("worker")
    for name in ("DATABASE_URL", "DATABASE_READ_URL", "REPLICA_URLS"):
        environment[name] = environment[name].replace("/socialapp?", f"/{DATABASE}?")
    for name in ("CACHE_URL", "STATE_URL", "LOG_URL"):
        environment[name] = environment[name].replace("db=0", "db=1")
    return environment


def pytest_configure():
    """A run that is ended by SIGTERM (by `timeout`, by a build server) stops its servers like any other run."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("ended by SIGTERM", returncode=128 + signal.SIGTERM))


def pytest_unconfigure():
    delete_everything(pytest.socialapp_stack)


@pytest.fixture(autouse=True)
def closed_breakers():
    """A server that one test took away is not left alone in the next."""
    from socialapp.cqrs.breaker import Breaker

    Breaker.close_all()


@pytest.fixture(scope="session")
def servers(django_db_blocker):
    """The Stack, with Postgres and Valkey running and an empty, migrated database for this process."""
    from django.core.management import call_command

    stack = pytest.socialapp_stack
    stack.start_servers()
    stack.create_database(DATABASE)
    with django_db_blocker.unblock():
        call_command("migrate", verbosity=0)
        yield stack


@pytest.fixture(scope="session")
def stack(servers):
    """The Stack with everything running and healthy."""
    servers.start()
    return servers


@pytest.fixture(scope="session")
def stack_url(stack) -> str:
    return f"http://127.0.0.1:{stack.port}"


@pytest.fixture
def api(stack_url) -> Api:
    """A client of the gateway that nobody is logged in on."""
    return Api(stack_url)


@pytest.fixture
def user(stack_url) -> Api:
    """A client of the gateway, logged in as a user of its own."""
    return register(stack_url)


@pytest.fixture
def other_user(stack_url) -> Api:
    return register(stack_url)
