"""Django's deployment checks and the OpenAPI schema are clean with a production's environment."""

import json
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
    "JWT_PRIVATE_KEY": "180Owjl2fcPO3i4jQJeyEB76HB4nUB_PDxEP8SkIuqE",
    "STAMP_KEY": "an0ther-k3y-0f-m0re-than-f1fty-d1fferent-s1gns+KLMNOPQRSTUVWXYZ",
    "JWT_PUBLIC_KEYS": "jl8y5eSo9i-I1APo9oxnbyOcKUPm3cH4_Hve7ihipPU",
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


WRONG = {
    "a short secret": ("SECRET_KEY", {"SECRET_KEY": "k3y-w1th-few-signs"}),
    "a monotonous secret": ("SECRET_KEY", {"SECRET_KEY": "ab" * 40}),
    "a secret from an example": ("SECRET_KEY", {"SECRET_KEY": "django-insecure-" + ENVIRONMENT["SECRET_KEY"]}),
    "a weak former secret": ("SECRET_KEY_FALLBACKS", {"SECRET_KEY_FALLBACKS": "k3y"}),
    "every host": ("ALLOWED_HOSTS", {"ALLOWED_HOSTS": "*"}),
    "every host besides one": ("ALLOWED_HOSTS", {"ALLOWED_HOSTS": "social.example,*"}),
    "every host below a domain that is all": ("ALLOWED_HOSTS", {"ALLOWED_HOSTS": "*.example"}),
    "a public key of zeros": ("JWT_PUBLIC_KEYS", {"JWT_PUBLIC_KEYS": "A" * 43}),
    "a short public key": ("JWT_PUBLIC_KEYS", {"JWT_PUBLIC_KEYS": ENVIRONMENT["JWT_PUBLIC_KEYS"][:40]}),
    "a public key that is none": ("JWT_PUBLIC_KEYS", {"JWT_PUBLIC_KEYS": "not base64!"}),
    "a private key of zeros": ("JWT_PRIVATE_KEY", {"JWT_PRIVATE_KEY": "A" * 43}),
    "a short key for stamps": ("STAMP_KEY", {"STAMP_KEY": "short"}),
    "one key for readers and writers": ("STAMP_KEY", {"STAMP_KEY": ENVIRONMENT["SECRET_KEY"]}),
    "another public key": ("JWT_PUBLIC_KEYS", {"JWT_PUBLIC_KEYS": ENVIRONMENT["JWT_PRIVATE_KEY"]}),
    "an address without TLS": ("PUBLIC_URL", {"PUBLIC_URL": "http://social.example"}),
    "no address": ("PUBLIC_URL", {"PUBLIC_URL": ""}),
    "no secure transport": ("PUBLIC_URL", {"SECURE_TRANSPORT": "off"}),
    "a loopback address, but other hosts": (
        "PUBLIC_URL",
        {"PUBLIC_URL": "http://localhost", "SECURE_TRANSPORT": "off"},
    ),
    "a gateway that takes no money": ("PAYMENT_GATEWAY", {"PAYMENT_GATEWAY": "sandbox"}),
}


# Importing the settings alone takes a tenth of what `manage.py check` does. A child for each case, as it can only be
# done once.
IMPORT = """
import json, os, sys
import cryptography.hazmat.primitives.asymmetric.ed25519, django.conf, environ, psycopg, redis
for name, environment in json.load(sys.stdin).items():
    if os.fork() == 0:
        os.environ |= environment
        try:
            import config.settings
            refusal = ""
        except django.core.exceptions.ImproperlyConfigured as error:
            refusal = str(error)
        print(json.dumps([name, refusal]), flush=True)
        os._exit(0)
    os.wait()
"""


def refusals(cases: dict[str, dict[str, str]]) -> dict[str, str]:
    """Of the settings in each of these environments, on top of a production's; "" for a start."""
    surroundings = ENVIRONMENT | {"SOCIALAPP_ROLE": "write", "PATH": os.environ["PATH"]}
    run = subprocess.run(
        [sys.executable, "-c", IMPORT], input=json.dumps(cases), cwd=CHECKOUT, env=surroundings, capture_output=True,
        text=True, timeout=60, check=True,
    )  # fmt: skip
    return dict(map(json.loads, run.stdout.splitlines()))


def test_production_does_not_start_with_what_is_weak():
    found = refusals({case: environment for case, (_, environment) in WRONG.items()})
    assert found.keys() == WRONG.keys()
    for case, (variable, _) in WRONG.items():
        assert f"- {variable} " in found[case], case


def test_all_that_is_wrong_is_told_at_once():
    wrong = {"SECRET_KEY": "short", "ALLOWED_HOSTS": "*", "PUBLIC_URL": "http://x.example"}
    assert not [name for name in wrong if f"- {name} " not in refusals({"all": wrong})["all"]]


def test_what_starts():
    local = {"PUBLIC_URL": "http://127.0.0.1:8080", "ALLOWED_HOSTS": "localhost,127.0.0.1,[::1]"}
    starts = {
        "a production": {},
        "a stack on a loopback address": local | {"SECURE_TRANSPORT": "off", "PAYMENT_GATEWAY": "sandbox"},
        "a read pool, which need not know who charges": {"SOCIALAPP_ROLE": "read", "PAYMENT_GATEWAY": "sandbox"},
    }
    assert refusals(starts) == dict.fromkeys(starts, "")
