"""Ways into the system: the gateway, and each pool's socket. After each module no pool may have logged a traceback."""

import os
import secrets
import subprocess
import sys

import pytest

from socialapp.tests.client import PASSWORD, Api, register
from socialapp.tests.http.browser import Browser
from socialapp.tests.http.raw import Wire

PROGRAMS = ("read-1", "read-2", "write-1", "write-2", "worker-1", "worker-2", "events-1")


@pytest.fixture(scope="module", autouse=True)
def quiet_logs(stack):
    paths = [stack.layout.log / f"{name}.log" for name in PROGRAMS]
    sizes = {path: path.stat().st_size for path in paths}
    yield
    for path in paths:
        news = path.read_bytes()[sizes[path] :]
        assert b"Traceback" not in news and b"Internal Server Error" not in news, path.name


@pytest.fixture(scope="session", params=["gateway", "write-1", "read-1"])
def way_in(request, stack, stack_url):
    return stack_url if request.param == "gateway" else stack.socket(request.param)


@pytest.fixture(scope="session", params=["gateway", "write-1"])
def way_to_write(request, stack, stack_url):
    return stack_url if request.param == "gateway" else stack.socket(request.param)


@pytest.fixture(scope="session")
def wire(way_in) -> Wire:
    return Wire(way_in)


@pytest.fixture(scope="session")
def member(stack_url):
    """A user who is there for all tests of a session; `user` makes a new one each time."""
    return register(stack_url)


@pytest.fixture
def browser(stack_url) -> Browser:
    return Browser(Api(stack_url))


@pytest.fixture(scope="session")
def operator(stack, stack_url) -> Browser:
    """Logged in to the admin."""
    name = f"operator_{secrets.token_hex(4)}"
    environment = os.environ | stack.environment("worker") | {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    command = [sys.executable, "manage.py", "createsuperuser", "--noinput", "--username", name]
    subprocess.run(command, env=environment, cwd=stack.layout.checkout, check=True, capture_output=True)
    browser = Browser(Api(stack_url))
    assert browser.log_in(name, page="/admin/login/").status == 302
    return browser
