"""Chooses where Postgres lives and as whom it runs. It refuses root, so as root it gets an unprivileged user, and a
home which that user can reach. No folder that is not ours is changed for this."""

import os
import pwd
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded import binaries
from deploy.embedded.failure import StackFailure
from deploy.embedded.layout import Layout, holds_sockets

NODES = ("primary", "replica")


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int

    def subprocess_options(self) -> dict:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True)
class PostgresHome:
    path: Path
    sockets: Path
    programs: Path
    account: Account | None

    def data(self, node: str) -> Path:
        return self.path / node

    def socket_folder(self, node: str) -> Path:
        return self.sockets / node

    def own(self, path: Path) -> Path:
        """Give what we made to the user that Postgres runs as."""
        if self.account:
            os.chown(path, self.account.uid, self.account.gid)
        return path


def ensure(layout: Layout) -> PostgresHome:
    account = _account()
    link = layout.var / "postgres"
    link.parent.mkdir(parents=True, exist_ok=True)
    home = _home_of(account, link) if account else _plain_home(link, layout)
    for folder in (home.sockets, *(home.socket_folder(node) for node in NODES)):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.own(folder)
    return home


def _account() -> Account | None:
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise StackFailure("Postgres refuses to run as root, and there is neither postgres nor nobody: run make as a user")


def _plain_home(link: Path, layout: Layout) -> PostgresHome:
    if link.is_symlink():
        raise StackFailure(f"{layout.var} was made by root: choose another place with make up VAR=...")
    link.mkdir(mode=0o700, exist_ok=True)
    return PostgresHome(link, layout.run / "postgres", binaries.postgres(), None)


def _home_of(account: Account, link: Path) -> PostgresHome:
    if not link.exists():
        _make_home(account, link)
    path = link.resolve()
    os.chown(path, account.uid, account.gid)
    programs = binaries.postgres()
    if not _may(account, programs / "postgres", "--version"):
        programs = binaries.copy_postgres(path)
    return PostgresHome(path, path / "run", programs, account)


def _make_home(account: Account, link: Path) -> None:
    """VAR/postgres itself if it will do, else a fresh folder elsewhere with VAR/postgres as a symbolic link to it."""
    link.unlink(missing_ok=True)
    if holds_sockets(link / "run") and _may(account, Path("/usr/bin/env"), "test", "-x", link.parent):
        link.mkdir(mode=0o700)
        return
    folder = _fresh_folder(account)
    folder.chmod(0o700)
    link.symlink_to(folder)


def _fresh_folder(account: Account) -> Path:
    for parent in (Path("/var/lib/socialapp"), Path(tempfile.gettempdir())):
        try:
            parent.mkdir(mode=0o755, exist_ok=True)
            if _may(account, Path("/usr/bin/env"), "test", "-x", parent):
                return Path(tempfile.mkdtemp(dir=parent, prefix=""))
        except OSError:
            continue
    raise StackFailure("Postgres' user can reach neither /var/lib nor the temp folder: run make as a user")


def _may(account: Account, program: Path, *arguments: str | Path) -> bool:
    """Whether this works as that user: asking beats reasoning about modes, groups and access lists."""
    try:
        options = account.subprocess_options()
        return subprocess.run([program, *arguments], cwd="/", capture_output=True, **options).returncode == 0
    except PermissionError:
        return False
    except OSError as error:
        raise StackFailure(f"Postgres refuses to run as root, and no other user can be used here ({error})") from None
