"""Makes and drops databases with the application's two users in them. Used by `stack`, also on behalf of the tests."""

import re
import subprocess
from pathlib import Path

import psycopg

from deploy.embedded.environment import database_url
from deploy.embedded.failure import StackFailure
from deploy.embedded.programs import Cast

ROLES = Path(__file__).resolve().parents[1] / "postgres" / "roles.sql"


def create(cast: Cast, name: str) -> None:
    """Idempotent. Also gives the users the passwords of this stack again."""
    checked(name)
    environment = {
        "PATH": "/usr/bin:/bin",
        "PGHOST": str(cast.home.socket_folder("primary")),
        "PGUSER": "postgres",
        "PGPASSWORD": cast.secret.superuser_password,
        "WRITE_PASSWORD": cast.secret.write_password,
        "READ_PASSWORD": cast.secret.read_password,
    }
    command = [cast.home.programs / "psql", "-XAtq", "-v", f"database={name}", "-f", "-", "postgres"]
    # The program may be a copy in a folder of Postgres' user, who must not have root run another one in its place.
    # That user may not reach the checkout: it gets the script as text.
    options = cast.home.account.subprocess_options() if cast.home.account else {}
    done = subprocess.run(
        command, input=ROLES.read_text(), env=environment, capture_output=True, text=True, cwd="/", **options
    )
    if done.returncode:
        raise StackFailure(explained(done.stderr.strip().splitlines()[-1:]))


def drop(cast: Cast, name: str) -> None:
    url = database_url("postgres", cast.secret.superuser_password, cast.home, "primary", "postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{checked(name)}" WITH (FORCE)')


def checked(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        raise ValueError(f"not a database name: {name!r}")
    return name


def explained(lines: list[str]) -> str:
    message = lines[0] if lines else "psql failed"
    if "password authentication failed" in message:
        return "VAR/secrets.json does not belong to the data in VAR/postgres: restore it, or start over with make reset"
    return f"The database could not be made: {message}"
