"""Which environment variables name the mail server, and which mistakes in them stop the start."""

import json
import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

PROGRAM = """
import json
from config.settings import emails as e
server = [e.EMAIL_HOST, e.EMAIL_PORT, e.EMAIL_HOST_USER, e.EMAIL_HOST_PASSWORD, e.EMAIL_USE_TLS, e.EMAIL_USE_SSL]
print(json.dumps({"server": server}))
"""


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp+tls://us%40er:p%2Bw@mail.example", ("mail.example", 587, "us@er", "p+w", True, False)),
        ("smtp+ssl://mail.example", ("mail.example", 465, "", "", False, True)),
        ("smtp://mail.example:2525", ("mail.example", 2525, "", "", False, False)),
    ],
)
def test_a_url_names_the_mail_server(servers, url, expected):
    assert settings_of(EMAIL_URL=url, EMAIL_FROM="shop@shop.example")["server"] == list(expected)


def test_settings_that_cannot_work_stop_the_start(servers):
    with pytest.raises(ImproperlyConfigured, match="EMAIL_FROM"):
        settings_of(EMAIL_URL="smtp://mail.example")
    with pytest.raises(ImproperlyConfigured, match="EMAILS_PER_SECOND"):
        settings_of(EMAILS_PER_SECOND="0")


def settings_of(**variables: str) -> dict:
    """What a process with these environment variables would read. Raises ImproperlyConfigured with its words."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("EMAIL")}
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=surroundings | variables, capture_output=True, text=True, timeout=60
    )
    if found.returncode:
        raise ImproperlyConfigured(found.stderr.strip().splitlines()[-1])
    return json.loads(found.stdout)
