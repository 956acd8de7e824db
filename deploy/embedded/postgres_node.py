"""Makes the data folder of a Postgres node, the first time or when a replica has fallen too far behind.
Called by the start wrapper just before it becomes the server; the node's place comes from its program's record."""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded import files

CONFIGURATION = Path(__file__).resolve().parents[1] / "postgres" / "postgresql.conf"
ACCESS = "local all all scram-sha-256\nlocal replication replicator scram-sha-256\n"
SLOT = "replica"


@dataclass(frozen=True)
class Node:
    name: str
    folder: Path
    programs: Path
    primary_sockets: Path
    passwords: dict[str, str]
    account: dict

    @classmethod
    def of(cls, record: dict) -> "Node":
        paths = {key: Path(record[key]) for key in ("folder", "programs", "primary_sockets")}
        return cls(name=record["name"], passwords=record["passwords"], account=record["account"], **paths)

    @property
    def draft(self) -> Path:
        """A data folder in the making; it is renamed when it is complete."""
        return self.folder.with_name(f"{self.folder.name}.draft")

    @property
    def is_started(self) -> bool:
        """Whether a server has taken its folder; it is not being made."""
        return (self.folder / "postmaster.pid").exists()

    def call(self, program: str, *arguments: str | Path, password: str = "", text: str = "") -> str:
        environment = {"PATH": "/usr/bin:/bin", "PGPASSWORD": password, "LC_ALL": "C", "PGCONNECT_TIMEOUT": "2"}
        command = [self.programs / program, *arguments]
        done = subprocess.run(
            command, input=text, text=True, capture_output=True, env=environment, cwd=self.folder.parent, **self.account
        )
        if done.returncode:
            raise NodeNotReady(f"{program}: {done.stderr.strip()}")
        return done.stdout.strip()

    def ask_primary(self, sql: str) -> str:
        where = f"host={self.primary_sockets} user=replicator dbname=postgres"
        return self.call("psql", "-XAtqc", sql, where, password=self.passwords["replicator"])


class NodeNotReady(Exception):
    """The primary does not answer yet, or a program failed; its message says which."""


def prepare(record: dict) -> None:
    node = Node.of(record)
    if node.name == "primary":
        prepare_primary(node)
    else:
        prepare_replica(node)
    # The wrapper has ended everything that worked in this folder, so a lock file in it is a dead server's. Its process
    # id may since have been given to somebody else, whom Postgres would take for the owner.
    (node.folder / "postmaster.pid").unlink(missing_ok=True)
    files.write_private(node.folder / "socialapp.conf", CONFIGURATION.read_text())


def prepare_primary(node: Node) -> None:
    if node.folder.exists():
        return
    shutil.rmtree(node.draft, ignore_errors=True)
    # initdb is let in without a password, but nobody ever connects that way: the server starts with ACCESS only.
    node.call(
        "initdb", "-D", node.draft, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C",
        "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
    )  # fmt: skip
    files.write_private(node.draft / "pg_hba.conf", ACCESS)
    with os.fdopen(files.open_file(node.draft / "postgresql.conf", os.O_WRONLY | os.O_APPEND), "a") as file:
        file.write("include_if_exists = 'socialapp.conf'\n")
    node.call("postgres", "--single", "-D", node.draft, "postgres", text=first_users(node.passwords))
    node.draft.rename(node.folder)


def first_users(passwords: dict[str, str]) -> str:
    return (
        f"ALTER ROLE postgres PASSWORD '{passwords['postgres']}'\n"
        f"CREATE ROLE replicator REPLICATION LOGIN PASSWORD '{passwords['replicator']}'\n"
    )


def prepare_replica(node: Node) -> None:
    if node.folder.exists() and not lost_its_slot(node):
        return
    wait_for_primary(node)
    shutil.rmtree(node.folder, ignore_errors=True)
    shutil.rmtree(node.draft, ignore_errors=True)
    node.ask_primary(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{SLOT}'")
    node.call(
        "pg_basebackup", "-h", node.primary_sockets, "-U", "replicator", "-D", node.draft, "-R", "-C", "-S", SLOT,
        "-c", "fast", "-X", "stream", password=node.passwords["replicator"],
    )  # fmt: skip
    node.draft.rename(node.folder)


def lost_its_slot(node: Node) -> bool:
    """Whether the primary has thrown away WAL that this replica still needs. Unknown means no: it starts and waits."""
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        try:
            status = node.ask_primary(f"SELECT wal_status FROM pg_replication_slots WHERE slot_name = '{SLOT}'")
        except NodeNotReady:
            time.sleep(0.1)
        else:
            return status in ("", "lost")
    return False


def wait_for_primary(node: Node) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            node.ask_primary("SELECT 1")
        except NodeNotReady:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
