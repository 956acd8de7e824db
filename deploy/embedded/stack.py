"""One stack: its programs, started, healthy and stopped. Used by the command line, the guardian and the tests."""

import json
import os
import shlex
import time
import xmlrpc.client
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from deploy.embedded import (
    access,
    account,
    credentials,
    databases,
    environment,
    files,
    gateway,
    ground,
    postgres_home,
    processes,
    supervision,
)
from deploy.embedded.failure import StackFailure
from deploy.embedded.health import Doctor
from deploy.embedded.installation import Installation
from deploy.embedded.layout import Layout
from deploy.embedded.programs import GROUPS, UNASKED, Cast, Program, server_folders

SERVERS = ("postgres", "valkey")
# The pools and workers wait for their schema; from then on they too start with supervisord.
BEFORE_SCHEMA = (*SERVERS, "gateway", "guardian")
PATIENCE = 90.0

Say = Callable[[str, float], None]


def silent(step: str, seconds: float) -> None:  # noqa: ARG001 a Say
    """Tests and the guardian tell nobody."""


class Stack:
    def __init__(self, *, var: Path, port: int, checkout: Path):
        self.layout = Layout.of(var, checkout)
        self.port = port or ground.free_port()

    @classmethod
    def recorded(cls, var: Path, checkout: Path) -> "Stack":
        """The stack as it was last started."""
        port = ground.record(Layout.of(var, checkout)).get("port", 0)
        return cls(var=var, port=port, checkout=checkout)

    @cached_property
    def cast(self) -> Cast:
        self.layout.make_folders()
        home = postgres_home.ensure(self.layout)
        return Cast(self.layout, home, credentials.of_stack(self.layout.var), self.port)

    @property
    def runs_as_root(self) -> bool:
        return os.getuid() == 0 and not self.cast.account

    @cached_property
    def doctor(self) -> Doctor:
        return Doctor(self.cast)

    def environment(self, role: str) -> dict[str, str]:
        return environment.of_role(role, self.layout, self.cast.home, self.cast.secret, self.port)

    def socket(self, program: str) -> Path:
        """The program's unix socket; for a Postgres node the folder that holds it."""
        if program.startswith("postgres-"):
            return self.cast.home.socket_folder(program.removeprefix("postgres-"))
        return self.layout.socket(program)

    def pid(self, program: str) -> int | None:
        """The process that supervisord started, or None while it does not run."""
        if program == "supervisord":
            return supervision.pid(self.layout)
        return supervision.states(self.layout)[program]["pid"] or None

    def create_database(self, name: str) -> None:
        databases.create(self.cast, name)

    def drop_database(self, name: str) -> None:
        databases.drop(self.cast, name)

    # ---- starting ----

    def start_servers(self, say: Say = silent) -> None:
        """Only Postgres and Valkey, with the application's database."""
        with ground.lock(self.layout):
            self._start_supervisor(SERVERS)
            self._start_servers(say)

    def start(self, *, seed: bool = False, say: Say = silent) -> None:
        """Everything, healthy when it returns. `seed` brings the demo world, the first time."""
        with ground.lock(self.layout):
            self._start_supervisor(BEFORE_SCHEMA)
            installation = Installation(self.cast)
            try:
                self._start_everything(installation, seed, say)
            finally:
                installation.abandon()

    def _start_everything(self, installation: Installation, seed: bool, say: Say) -> None:
        installation.begin(installation.outdated(seed))
        self._start_servers(say)
        installation.bring_schema(say)
        supervision.write_configuration(self.layout, self.cast.programs(), GROUPS, as_root=self.runs_as_root)
        supervision.start_groups(self.layout, GROUPS)
        self._wait_for([program for program in self.cast.programs() if program.group not in SERVERS], say)
        installation.finish(say)
        started = time.monotonic()
        self._wait_until_ready()
        say("all parts ready", time.monotonic() - started)

    def _start_supervisor(self, groups: tuple[str, ...]) -> None:
        """Have supervisord run, and know which groups to start should it have to start again."""
        if supervision.pid(self.layout):
            ground.check_same_stack(self.layout, self.port)
            return
        processes.end(self.processes(), patience=5)
        ground.check_disk(self.layout)
        ground.check_port(self.port, is_root=self.runs_as_root)
        self._write_files(groups)
        if self.cast.account:
            account.compile_checkout(self.layout)
            account.hand_over(self.cast.account, self.layout)
        supervision.launch(self.layout, self.cast.account)

    def _write_files(self, groups: tuple[str, ...]) -> None:
        programs = self.cast.programs()
        supervision.write_configuration(self.layout, programs, groups, as_root=self.runs_as_root)
        records = {program.name: program.record() for program in programs}
        files.write_private(self.layout.programs, json.dumps(records, indent=1))
        lines = [f"{key}={shlex.quote(value)}\n" for key, value in self.environment("worker").items()]
        files.write_private(self.layout.stack_env, "".join(lines))
        gateway.write_configuration(self.layout, self.port, as_root=self.runs_as_root)
        access.write_lists(self.layout, self.cast.secret)
        record = {"port": self.port, "checkout": str(self.layout.checkout)}
        files.write_private(self.layout.record, json.dumps(record))
        os.close(files.open_file(self.layout.wanted, os.O_WRONLY | os.O_CREAT))

    def _start_servers(self, say: Say) -> None:
        supervision.start_groups(self.layout, SERVERS)
        servers = [program for program in self.cast.programs() if program.group in SERVERS]
        self._wait_for(servers[:1], say)
        self.create_database("socialapp")
        self._wait_for(servers[1:], say)

    def _wait_for(self, programs: list[Program], say: Say) -> None:
        started = time.monotonic()
        waiting = {program.name: "not asked yet" for program in programs}
        while waiting:
            found = self.complaints(list(waiting))
            for name in (name for name in waiting if name not in found):
                say(name, time.monotonic() - started)
            waiting = found
            if waiting and time.monotonic() - started > PATIENCE:
                name, complaint = next(iter(waiting.items()))
                raise StackFailure(f"{name}: {complaint} (see {self.layout.log / name}.log)")
            time.sleep(0.05 if waiting else 0)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while complaint := self.doctor.readiness()[0]:
            if time.monotonic() > deadline:
                raise StackFailure(f"{complaint} (logs: {self.layout.log})")
            time.sleep(0.1)

    # ---- watching and stopping ----

    def complaints(self, names: list[str] | None = None) -> dict[str, str]:
        """Which programs (of all, or of these) do not work, and why."""
        try:
            states = supervision.states(self.layout)
        except (OSError, xmlrpc.client.Error):
            return dict.fromkeys(names or ["supervisord"], "supervisord does not answer")
        found = {name: self._complaint(name, states.get(name, {})) for name in names or states}
        return {name: complaint for name, complaint in found.items() if complaint}

    def _complaint(self, name: str, entry: dict) -> str:
        state = entry.get("statename", "UNKNOWN")
        if state == "RUNNING" or (state == "STARTING" and name not in UNASKED):
            return self.doctor.complaint(name)
        return f"{state.lower()} {entry.get('spawnerr', '')}".strip()

    def processes(self) -> list:
        """Whatever still runs of this stack, also what supervisord no longer knows of."""
        return processes.of_stack(self.layout.stack_id, server_folders(self.layout, self.cast.home))

    def is_wanted(self) -> bool:
        return self.layout.wanted.exists()

    def stop(self) -> None:
        with ground.lock(self.layout):
            self.layout.wanted.unlink(missing_ok=True)
            supervision.shut_down(self.layout, patience=40)
            processes.end(self.processes(), patience=5)

    def revive(self) -> None:
        """Start again after supervisord was killed; its programs were told to end when it died."""
        with ground.lock(self.layout):
            if not self.is_wanted() or supervision.pid(self.layout):
                return
            processes.end(self.processes(), patience=2)
            supervision.launch(self.layout)
