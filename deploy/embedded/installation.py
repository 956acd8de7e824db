"""Brings static files, schema and demo world up to date, and skips what still holds. Called by `stack.Stack.start`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deploy.embedded import files, stamps
from deploy.embedded.environment import database_url
from deploy.embedded.failure import StackFailure
from deploy.embedded.programs import Cast

STATIC, MIGRATIONS, DEMO = "static files", "migrations", "demo world"


@dataclass
class Installation:
    cast: Cast
    process: subprocess.Popen | None = None
    outstanding: list[str] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.cast.layout.log / "setup.log"

    def stamp_file(self, step: str) -> Path:
        """What is in the database is remembered beside it, so that both are lost together."""
        folder = self.cast.layout.static if step == STATIC else self.cast.home.path
        return folder / f"{step.replace(' ', '-')}.stamp.json"

    def stamp(self, step: str) -> dict:
        try:
            return json.loads(self.stamp_file(step).read_text())
        except (OSError, ValueError):
            return {}

    def current(self, step: str) -> dict:
        """The stamp that this step would leave now, as far as files can tell."""
        make = {STATIC: stamps.of_static_files, MIGRATIONS: stamps.of_migrations, DEMO: lambda _: "made once"}
        return {"files": make[step](self.cast.layout)}

    def outdated(self, seed: bool) -> list[str]:
        steps = [STATIC, MIGRATIONS, *([DEMO] if seed else [])]
        return [step for step in steps if self.stamp(step).get("files") != self.current(step)["files"]]

    def schema_differs(self) -> bool:
        """Whether somebody migrated by hand since: the files are as they were, the database is not."""
        return self.stamp(MIGRATIONS).get("applied") != self._applied()

    def _applied(self) -> str:
        url = database_url("socialapp", self.cast.secret.write_password, self.cast.home, "primary")
        return stamps.applied_migrations(url)

    def begin(self, steps: list[str]) -> None:
        """Start these in the background; Django is imported while the servers start."""
        if not steps:
            return
        environment = self.cast.of_role("setup", "worker") | {
            "DEMO_PASSWORD": self.cast.secret.demo_password,
            "OPERATOR_PASSWORD": self.cast.secret.operator_password,
        }
        self.outstanding = list(steps)
        as_whom = self.cast.account.subprocess_options() if self.cast.account else {}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploy.embedded.django_steps", *steps],
            cwd=self.cast.layout.checkout, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **as_whom,
        )  # fmt: skip

    def bring_schema(self, say: Callable[[str, float], None]) -> None:
        """Return when the schema fits the code; the demo world may still be growing. The database is complete."""
        self._let_in()
        if MIGRATIONS not in self.outstanding and self.schema_differs():
            self.finish(say)
            self.begin([MIGRATIONS])
            self._let_in()
        while MIGRATIONS in self.outstanding:
            self._follow_one(say)

    def _let_in(self) -> None:
        """Without the read role's user, `migrate` would have nobody to grant its columns to."""
        if self.process:
            self.process.stdin.close()

    def finish(self, say: Callable[[str, float], None]) -> None:
        while self.outstanding:
            self._follow_one(say)

    def _follow_one(self, say: Callable[[str, float], None]) -> None:
        with os.fdopen(files.open_file(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a") as log:
            for line in self.process.stdout:
                log.write(line)
                if line.startswith("@done "):
                    step, seconds = line.removeprefix("@done ").rsplit(" ", 1)
                    self._stamp(step)
                    say(step, float(seconds))
                    return
        lines = [line for line in self.log.read_text().splitlines() if line.strip()]
        raise StackFailure(f"The set-up failed: {lines[-1] if lines else 'no message'} (all of it: {self.log})")

    def _stamp(self, step: str) -> None:
        self.outstanding.remove(step)
        stamp = self.current(step) | {"at": time.strftime("%FT%TZ", time.gmtime())}
        if step == MIGRATIONS:
            stamp["applied"] = self._applied()
        files.make_folder(self.stamp_file(step).parent)
        files.write_private(self.stamp_file(step), json.dumps(stamp))

    def abandon(self) -> None:
        if self.process is None:
            return
        if self.outstanding:
            self.process.kill()
        self.process.wait()
