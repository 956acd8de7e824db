"""Where a stack keeps its files and sockets. Everything else in this package asks here for a path."""

import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deploy.embedded import files
from deploy.embedded.failure import StackFailure

# A socket's path holds about 100 bytes, and supervisor binds its own with a process id behind the name.
LONGEST_RUN_FOLDER = 72
# libpq and Postgres read commas and spaces in a socket folder as lists.
PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")


def holds_sockets(folder: Path) -> bool:
    return len(os.fsencode(folder)) <= LONGEST_RUN_FOLDER and PLAIN.fullmatch(str(folder)) is not None


@dataclass(frozen=True)
class Layout:
    var: Path
    checkout: Path

    @classmethod
    def of(cls, var: Path, checkout: Path) -> "Layout":
        checkout = checkout.resolve()
        var = (checkout / var).resolve()
        if checkout.is_relative_to(var):
            raise StackFailure(f"VAR={var} would mix the stack's files with the code: name a folder of its own")
        return cls(var, checkout)

    @cached_property
    def stack_id(self) -> str:
        return hashlib.sha256(os.fsencode(self.var)).hexdigest()[:16]

    @property
    def log(self) -> Path:
        return self.var / "log"

    @property
    def nginx(self) -> Path:
        return self.var / "nginx"

    @property
    def static(self) -> Path:
        return self.var / "static"

    @property
    def outbox(self) -> Path:
        """Emails, unless they go to a mail server."""
        return self.var / "outbox"

    @property
    def media(self) -> Path:
        """What was uploaded."""
        return self.var / "media"

    @property
    def stack_env(self) -> Path:
        return self.var / "stack.env"

    @property
    def record(self) -> Path:
        """What is known about the running stack: port and checkout."""
        return self.var / "stack.json"

    @property
    def programs(self) -> Path:
        return self.var / "programs.json"

    @property
    def wanted(self) -> Path:
        """Exists while the stack is meant to run; without it the guardian lets it rest."""
        return self.run / "wanted"

    def valkey(self, name: str) -> Path:
        return self.var / "valkey" / name

    def access_list(self, name: str) -> Path:
        return self.valkey(name) / "users.acl"

    @cached_property
    def run(self) -> Path:
        """The folder of sockets and process ids: VAR/run, or a private one where that is too long for a socket."""
        own = self.var / "run"
        if own.is_symlink():
            return self._recorded_run_folder(own)
        return own if holds_sockets(own) else self._private_run_folder()

    def _private_run_folder(self) -> Path:
        folders = (Path(tempfile.gettempdir()).resolve(), Path("/tmp").resolve())  # noqa: S108 made private, and checked, before use
        names = (folder / f"socialapp-{os.getuid()}-{self.stack_id}" for folder in folders)
        return next(filter(holds_sockets, names))

    def _recorded_run_folder(self, own: Path) -> Path:
        """Where an earlier start has put it. The link belongs to the stack's user, who must not have root follow it."""
        folder = own.readlink()
        if not re.fullmatch(rf"socialapp-[0-9]+-{self.stack_id}", folder.name):
            raise StackFailure(f"{own} leads to {folder}, which is no folder of sockets: remove {own}")
        return folder.parent.resolve() / folder.name

    def socket(self, program: str) -> Path:
        return self.run / f"{program}.sock"

    def make_folders(self) -> None:
        self.var.mkdir(parents=True, exist_ok=True)
        own = self.var / "run"
        if self.run != own and not own.is_symlink():
            own.symlink_to(self.run)
        # Root gives it to the user that its stack runs as, who owns VAR from then on.
        make_private(self.run, {os.getuid(), self.var.stat().st_uid} if os.getuid() == 0 else {os.getuid()})
        valkeys = (self.valkey(name) for name in ("cache", "state", "log"))
        private = [self.log, self.nginx, self.nginx / "temp", self.outbox, self.media, self.var / "beat"]
        for folder in [*private, self.var / "valkey", *valkeys]:
            files.make_folder(folder)


def make_private(folder: Path, owners: Collection[int]) -> None:
    """Make `folder` ours alone; in a shared temp folder somebody else may have been there first."""
    files.make_folder(folder)
    with files.opened_folder(folder) as descriptor:
        found = os.fstat(descriptor)
        if found.st_uid not in owners:
            raise StackFailure(f"{folder} belongs to another user: remove it, or choose another VAR")
        if stat.S_IMODE(found.st_mode) != 0o700:
            os.fchmod(descriptor, 0o700)
