"""Who learns which secret."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from deploy.embedded import credentials, environment
from deploy.embedded.credentials import Credentials, from_base64url, generate
from deploy.embedded.layout import Layout
from deploy.embedded.postgres_home import PostgresHome
from deploy.embedded.programs import GROUPS, Cast

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def secret() -> Credentials:
    return generate()


@pytest.fixture
def cast(tmp_path, secret) -> Cast:
    home = PostgresHome(tmp_path / "pg", tmp_path / "pg/run", tmp_path / "bin", None)
    return Cast(Layout.of(tmp_path / "var", CHECKOUT), home, secret, 8080)


def of_role(cast, role):
    return environment.of_role(role, cast.layout, cast.home, cast.secret, cast.port)


def test_the_read_role_learns_nothing_that_lets_it_write(cast, secret):
    told = " ".join(of_role(cast, "read").values())
    for hidden in (secret.write_password, secret.superuser_password, secret.replication_password):
        assert hidden not in told
    assert secret.jwt_private_key not in told and secret.stamp_key not in told
    assert "DATABASE_URL" not in of_role(cast, "read")


@pytest.mark.parametrize("role", ["write", "worker"])
def test_who_writes_connects_as_the_owner(cast, role):
    assert of_role(cast, role)["DATABASE_URL"].startswith("postgres://socialapp:")
    assert of_role(cast, role)["JWT_PRIVATE_KEY"] and of_role(cast, role)["STAMP_KEY"]


def test_keys_are_raw_ed25519(secret):
    assert len(from_base64url(secret.jwt_private_key)) == 32
    assert len(from_base64url(secret.jwt_public_key)) == 32


def test_a_stack_of_an_earlier_version_gets_the_secrets_that_it_lacks(tmp_path, secret):
    held = asdict(secret)
    del held["stamp_key"]
    (tmp_path / "secrets.json").write_text(json.dumps(held))
    completed = credentials.of_stack(tmp_path)
    assert completed.stamp_key and asdict(completed) | {"stamp_key": secret.stamp_key} == asdict(secret)
    assert credentials.of_stack(tmp_path) == completed


def test_our_own_environment_is_not_passed_on(cast, monkeypatch):
    monkeypatch.setitem(os.environ, "AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setitem(os.environ, "DATABASE_URL", "postgres://leaked")
    for program in cast.programs():
        assert "AWS_SECRET_ACCESS_KEY" not in program.environment
        assert "leaked" not in str(program.environment)


def test_no_secret_is_on_a_command_line(cast, secret):
    commands = " ".join(word for program in cast.programs() for word in program.command)
    for value in vars(secret).values():
        assert value not in commands


def test_every_program_belongs_to_a_group(cast):
    assert {program.group for program in cast.programs()} == set(GROUPS)
    names = [program.name for program in cast.programs()]
    assert len(names) == len(set(names))


def test_emails_are_files_unless_a_mail_server_is_named(cast, monkeypatch):
    monkeypatch.delenv("EMAIL_URL", raising=False)
    assert of_role(cast, "worker")["EMAIL_URL"].endswith(str(cast.layout.outbox))
    monkeypatch.setenv("EMAIL_URL", "smtp://ada:secret@mail.example")
    assert of_role(cast, "worker")["EMAIL_URL"] == "smtp://ada:secret@mail.example"
    assert "EMAIL_URL" not in of_role(cast, "read")
