"""The pytest plugin: a session's own stack of real servers. Nothing here is shared with a stack of `make up`.

`servers`: primary, replica and the three Valkeys; this process works on its own database and Valkey databases.
`stack`: all of it, with gateway, pools and workers. `api`: a client of the gateway.
"""

import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from deploy.embedded.stack import Stack
from deploy.embedded.wipe import delete_everything
from socialapp.tests.client import Api, register

CHECKOUT = Path(__file__).resolve().parents[2]
DATABASE = "socialapp_test"
OWN_MEDIA = tempfile.TemporaryDirectory(prefix="socialapp-test-media-")
# Names, separated by spaces, of the variables that this plugin has set in the environment.
SET_BY_PLUGIN = "SOCIALAPP_TEST_SET"
# Seconds in which a stack heals by itself from what a module of tests has done to it.
PATIENCE = 60
# The session's stack, once all of it runs and not just its servers.
WHOLE = pytest.StashKey[Stack]()


def pytest_addoption():
    """The first hook of all: settings are read soon after, and they want to know where the servers will be."""
    forget_environment_of_controller()
    var = Path(tempfile.mkdtemp(prefix="socialapp-test-"))
    # Postgres may run as another user, who has to pass through.
    var.chmod(0o711)
    pytest.socialapp_stack = Stack(var=var, port=0, checkout=CHECKOUT)
    ours = own_environment(pytest.socialapp_stack)
    os.environ[SET_BY_PLUGIN] = " ".join(name for name, value in ours.items() if os.environ.get(name) != value)
    os.environ.update(ours)


def forget_environment_of_controller() -> None:
    """A worker of pytest-xdist inherits the controller's variables, which name a stack that nobody starts."""
    for name in os.environ.pop(SET_BY_PLUGIN, "").split():
        os.environ.pop(name, None)


def own_environment(stack: Stack) -> dict[str, str]:
    """The worker's environment, but with databases of its own, so that the stack's workers do not interfere."""
    environment = stack.environment("worker")
    for name in ("DATABASE_URL", "DATABASE_READ_URL", "REPLICA_URLS"):
        environment[name] = environment[name].replace("/socialapp?", f"/{DATABASE}?")
    for name in ("CACHE_URL", "STATE_URL", "LOG_URL"):
        environment[name] = environment[name].replace("db=0", "db=1")
    # This process may run as root, and the stack's cannot write to a folder that root has made.
    environment["MEDIA_ROOT"] = OWN_MEDIA.name
    return environment


def pytest_configure():
    """A run that is ended by SIGTERM (by `timeout`, by a build server) stops its servers like any other run."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("ended by SIGTERM", returncode=128 + signal.SIGTERM))


def pytest_unconfigure():
    delete_everything(pytest.socialapp_stack)
    OWN_MEDIA.cleanup()


@pytest.fixture(autouse=True)
def closed_breakers():
    """A server that one test took away is not left alone in the next."""
    from socialapp.cqrs.breaker import Breaker

    Breaker.close_all()


@pytest.fixture(scope="module", autouse=True)
def new_connections():
    """A module opens its own connections: tests of the module before it may have killed the servers of the old ones."""
    from django.core.cache import caches
    from django.db import connections
    from django_redis import get_redis_connection
    from redis.cluster import RedisCluster

    from socialapp.cqrs import wire

    connections.close_all()
    for alias in caches:
        client = get_redis_connection(alias)
        if not isinstance(client, RedisCluster):
            client.connection_pool.disconnect()
    wire.transport.cache_clear()


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
def stack(servers, request):
    """The Stack with everything running and healthy."""
    servers.start()
    request.session.stash[WHOLE] = servers
    return servers


@pytest.fixture(scope="module", autouse=True)
def healthy_afterwards(request):
    """A module that leaves a broken stack fails, and the next one gets a stack that was started again."""
    yield
    stack = request.session.stash.get(WHOLE, None)
    if stack is None:
        return
    deadline = time.monotonic() + PATIENCE
    while wrong := stack.complaints() or stack.doctor.readiness()[0]:
        if time.monotonic() > deadline:
            stack.stop()
            stack.start()
            pytest.fail(f"these tests left a stack that did not heal within {PATIENCE} s: {wrong}")
        time.sleep(0.1)


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
