"""A Postgres server of a test's own: a copy of the stack's primary that follows it until it is promoted."""

import shutil
import signal
import subprocess
from pathlib import Path

from deploy.embedded.postgres_node import Node
from deploy.embedded.stack import Stack


class Clone:
    def __init__(self, stack: Stack, name: str):
        home = stack.cast.home
        self.name, self.home = name, home
        self.account = home.account.subprocess_options() if home.account else {}
        passwords = {"replicator": stack.cast.secret.replication_password}
        primary = home.socket_folder("primary")
        self.node = Node(name, home.data(name), home.programs, primary, passwords, self.account)
        self.process: subprocess.Popen | None = None

    @property
    def sockets(self) -> Path:
        return self.home.socket_folder(self.name)

    def start(self) -> None:
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        self.home.own(self.sockets)
        self.node.call(
            "pg_basebackup", "-h", self.node.primary_sockets, "-U", "replicator", "-D", self.node.folder, "-R",
            "-c", "fast", "-X", "stream", "--no-sync", password=self.node.passwords["replicator"],
        )  # fmt: skip
        command = [self.home.programs / "postgres", "-D", self.node.folder, "-k", self.sockets, "-c", "fsync=off"]
        log = subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.node.folder, **self.account)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=20)
        shutil.rmtree(self.node.folder)
