"""Django's deployment checks and the OpenAPI schema are clean with a production's environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from socialapp.tests.architecture.test_sizes import CHECKOUT

# Everything that a deployment sets and nothing that only the one-machine stack does. No server is asked.
ENVIRONMENT = {
    "SECRET_KEY": "k3y-w1th-m0re-than-f1fty-d1fferent-s1gns-0f-the-alphabet+ABCDEFGHIJ",
    "DATABASE_URL": "postgres://writer:secret@primary.example/socialapp",
    "DATABASE_READ_URL": "postgres://reader:secret@primary.example/socialapp",
    "REPLICA_URLS": "postgres://reader:secret@replica.example/socialapp",
    "CACHE_URL": "redis://cache.example/0",
    "STATE_URL": "redis://state.example/0",
    "LOG_URL": "redis://log.example/0",
    "ALLOWED_HOSTS": "social.example",
    "PUBLIC_URL": "https://social.example",
    "STATIC_ROOT": "/srv/static",
    "MEDIA_ROOT": "/srv/media",
    "JWT_PRIVATE_KEY": "A" * 43,
    "JWT_PUBLIC_KEYS": "A" * 43,
    "PAYMENT_GATEWAY": "stripe",
    "STRIPE_SECRET_KEY": "sk_live_of_nobody",
    "STRIPE_WEBHOOK_SECRET": "whsec_of_nobody",
}
ROLES = ("read", "write", "worker")


def manage(role: str, *arguments: str, without: str = "", **environment: str) -> subprocess.CompletedProcess:
    outside = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
    # A file that does not exist: not the environment of a stack that happens to run here.
    surroundings = outside | ENVIRONMENT | {"SOCIALAPP_ROLE": role, "SOCIALAPP_ENV_FILE": "/nonexistent"} | environment
    surroundings.pop(without, None)
    command = [sys.executable, "-W", "error::DeprecationWarning:config", "manage.py", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, env=surroundings, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("role", ROLES)
def test_the_deployment_checks_are_clean(role):
    run = manage(role, "check", "--deploy", "--fail-level", "WARNING")
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_place_for_uploads_is_asked_for_where_they_arrive():
    found = {role: "orders.E001" in manage(role, "check", "--deploy", without="MEDIA_ROOT").stderr for role in ROLES}
    assert found == {"read": False, "write": True, "worker": True}


def test_the_openapi_schema_is_valid_and_complete(tmp_path: Path):
    schema = tmp_path / "schema.yml"
    run = manage("read", "spectacular", "--validate", "--fail-on-warn", "--file", str(schema))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "/api/v1/posts/{post_id}/like" in schema.read_text()
