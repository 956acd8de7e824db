"""A headless Chromium with a fresh profile for each test, and an operator of the stack."""

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


@pytest.fixture
def driver(tmp_path):
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    chromedriver = shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("no Chromium with a chromedriver is installed (Debian: apt-get install chromium chromium-driver)")
    options = Options()
    options.binary_location = chromium
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    yield driver
    driver.quit()


@pytest.fixture
def visitor(driver, stack_url) -> Visitor:
    return Visitor(driver, stack_url)


@pytest.fixture
def plain(stack_url) -> PlainVisitor:
    """Nobody in particular, without a browser."""
    return PlainVisitor(stack_url)


@pytest.fixture
def manage(stack):
    """manage(*arguments, **variables) runs manage.py against the stack."""

    def run(*arguments: str, **variables: str) -> None:
        environment = {**os.environ, **stack.environment("worker"), **variables}
        command = [sys.executable, "manage.py", *arguments]
        subprocess.run(command, cwd=CHECKOUT, env=environment, check=True, capture_output=True, timeout=60)

    return run


@pytest.fixture
def operator(manage) -> str:
    """The name of a superuser; the password is PASSWORD."""
    name = f"operator_{secrets.token_hex(4)}"
    manage("createsuperuser", "--noinput", f"--username={name}", DJANGO_SUPERUSER_PASSWORD=PASSWORD)
    return name
