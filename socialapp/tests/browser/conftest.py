"""One headless Chromium, without cookies at the start of each test, and an operator of the stack."""

import os
import secrets
import shutil
import subprocess
import sys

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from socialapp.tests.browser.visitor import PlainVisitor, Visitor
from socialapp.tests.client import PASSWORD
from socialapp.tests.fixtures import CHECKOUT

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,900",
)  # fmt: skip


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """A WebDriver with a fresh profile. Starting one takes longer than most tests."""
    binary = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    chromedriver = shutil.which("chromedriver")
    if not binary or not chromedriver:
        pytest.skip("no Chromium with a chromedriver is installed (Debian: apt-get install chromium chromium-driver)")
    options = Options()
    options.binary_location = binary
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    yield driver
    driver.quit()


@pytest.fixture
def visitor(chromium, stack_url) -> Visitor:
    """Nobody in particular, with a browser."""
    chromium.get(f"{stack_url}/auth/login/")
    chromium.delete_all_cookies()
    visitor = Visitor(chromium, stack_url)
    visitor.requested_hosts(), visitor.errors()
    return visitor


@pytest.fixture
def plain(stack_url) -> PlainVisitor:
    """Nobody in particular, without a browser."""
    return PlainVisitor(stack_url)


@pytest.fixture(scope="session")
def manage(stack):
    """manage(*arguments, **variables) runs manage.py against the stack; returns what it said."""

    def run(*arguments: str, may_fail: bool = False, **variables: str) -> str:
        environment = {**os.environ, **stack.environment("worker"), **variables}
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=CHECKOUT, env=environment, check=not may_fail, capture_output=True, text=True, timeout=60
        )
        return done.stdout

    return run


@pytest.fixture(scope="session")
def operator(manage) -> str:
    """The name of a superuser; the password is PASSWORD."""
    name = f"operator_{secrets.token_hex(4)}"
    manage("createsuperuser", "--noinput", f"--username={name}", DJANGO_SUPERUSER_PASSWORD=PASSWORD)
    return name
