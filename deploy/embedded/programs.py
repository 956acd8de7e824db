"""The table of everything that runs: what is started, as whom, with which environment and in which order."""

import os
import sys
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

from deploy.embedded import binaries, environment
from deploy.embedded.account import Account, of_programs, reaches_servers
from deploy.embedded.credentials import Credentials
from deploy.embedded.layout import Layout
from deploy.embedded.postgres_home import NODES, PostgresHome
from deploy.embedded.processes import PROGRAM, STACK

VALKEYS = ("valkey-cache", "valkey-state", "valkey-log")
POOLS = ("read-1", "read-2", "write-1", "write-2")
WORKERS = {"worker-1": "commands", "worker-2": "commands", "events-1": "events", "outside-1": "outside"}

# These have no socket to ask; the application's readiness speaks for them.
UNASKED = (*WORKERS, "beat", "guardian")

# Started in this order, stopped in the reverse one.
GROUPS = ("postgres", "valkey", "app", "gateway", "guardian")


@dataclass(frozen=True)
class Program:
    name: str
    group: str
    command: list[str]
    environment: dict[str, str]
    folder: str
    stop_signal: str = "TERM"
    # Seconds of grace after the stop signal; then the whole process group is killed.
    patience: int = 10
    # Stop with supervisord, should that be killed. The guardian stays, to start another.
    follows_supervisor: bool = True
    account: dict = field(default_factory=dict)
    # Whether it keeps the capability to read what its user cannot reach, should supervisord have it.
    reads_all: bool = False
    # What makes the data folder of a Postgres node.
    postgres: dict | None = None

    def record(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Cast:
    """Builds the programs of one stack."""

    layout: Layout
    home: PostgresHome
    secret: Credentials
    port: int

    @cached_property
    def account(self) -> Account | None:
        """As whom supervisord and all programs run; None where that is whoever starts them. Asked only at a start."""
        return self.home.account and of_programs(self.home.account, self.layout)

    @cached_property
    def servers_are_in_reach(self) -> bool:
        """Whether nginx and Valkey can be run without the capability."""
        return self.home.account is None or reaches_servers(self.home.account, self.layout)

    def programs(self) -> list[Program]:
        return [
            *(self.postgres(node) for node in NODES),
            *(self.valkey(name) for name in VALKEYS),
            *(self.pool(name) for name in POOLS),
            *(self.celery(name, queue) for name, queue in WORKERS.items()),
            self.beat(),
            self.gateway(),
            self.guardian(),
        ]

    def bare(self, name: str) -> dict[str, str]:
        """Nothing of our own environment but what a program needs to find its way around."""
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "TZ", "SSL_CERT_FILE") if key in os.environ}
        if self.account:
            kept["HOME"] = str(self.layout.var)
        return kept | {"LC_ALL": "C.UTF-8", STACK: self.layout.stack_id, PROGRAM: name}

    def of_role(self, name: str, role: str) -> dict[str, str]:
        own = environment.of_role(role, self.layout, self.home, self.secret, self.port)
        return self.bare(name) | own | {"DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONUNBUFFERED": "1"}

    def postgres(self, node: str) -> Program:
        data, sockets = str(self.home.data(node)), str(self.home.socket_folder(node))
        passwords = {"replicator": self.secret.replication_password}
        if node == "primary":
            passwords["postgres"] = self.secret.superuser_password
        # A supervisord that is no longer root has nobody to change to.
        changes = self.home.account and not self.account
        account = self.home.account.subprocess_options() if changes else {}
        command = [str(self.home.programs / "postgres"), "-D", data, "-k", sockets, "-c", f"cluster_name={node}"]
        making = {
            "name": node,
            "folder": data,
            "programs": str(self.home.programs),
            "primary_sockets": str(self.home.socket_folder("primary")),
            "passwords": passwords,
            "account": account,
        }
        name = f"postgres-{node}"
        return Program(
            name, "postgres", command, self.bare(name), data, "INT", patience=20, account=account, postgres=making
        )

    def valkey(self, name: str) -> Program:
        kind = name.removeprefix("valkey-")
        folder = str(self.layout.valkey(kind))
        configuration = str(self.layout.checkout / "deploy" / "valkey" / f"{kind}.conf")
        options = ["--unixsocket", str(self.layout.socket(name)), "--dir", folder]
        options += ["--aclfile", str(self.layout.access_list(kind))]
        command = [str(binaries.valkey()), configuration, *options]
        return Program(name, "valkey", command, self.bare(name), folder, reads_all=not self.servers_are_in_reach)

    def python(self, name: str, role: str, *arguments: str, patience: int = 15) -> Program:
        command = [sys.executable, "-m", *arguments]
        folder = str(self.layout.checkout)
        return Program(name, "app", command, self.of_role(name, role), folder, patience=patience, reads_all=True)

    def pool(self, name: str) -> Program:
        role = name.partition("-")[0]
        where = f"unix:{self.layout.socket(name)}"
        return self.python(name, role, "gunicorn", "-c", f"config/gunicorn/{role}.py", "-b", where, "config.wsgi")

    def celery(self, name: str, queue: str) -> Program:
        options = ["-Q", queue, "-c", "2", "-n", f"{name}@%h", "--without-gossip", "--without-mingle", "-l", "INFO"]
        return self.python(name, "worker", "celery", "-A", "config", "worker", *options)

    def beat(self) -> Program:
        schedule, options = str(self.layout.var / "beat" / "schedule"), ("--pidfile=", "-l", "INFO")
        return self.python("beat", "worker", "celery", "-A", "config", "beat", "-s", schedule, *options)

    def gateway(self) -> Program:
        folder = self.layout.nginx
        command = [str(binaries.nginx()), "-p", f"{folder}/", "-c", "gateway.conf", "-e", "stderr"]
        reads_all = not self.servers_are_in_reach
        return Program(
            "nginx", "gateway", command, self.bare("nginx"), str(folder), "QUIT", patience=3, reads_all=reads_all
        )

    def guardian(self) -> Program:
        command = [sys.executable, "-m", "deploy.embedded.guardian", str(self.layout.var)]
        surroundings = self.bare("guardian") | {"PYTHONPATH": str(self.layout.checkout)}
        return Program(
            "guardian",
            "guardian",
            command,
            surroundings,
            str(self.layout.checkout),
            follows_supervisor=False,
            reads_all=True,
        )


def server_folders(layout: Layout, home: PostgresHome) -> list[Path]:
    """Where the servers work that cannot be recognised by their environment."""
    valkeys = [layout.valkey(name.removeprefix("valkey-")) for name in VALKEYS]
    return [layout.nginx, *valkeys, *(home.data(node) for node in NODES)]
