"""Chooses where Postgres lives and as whom it runs. It refuses root, so as root it gets an unprivileged user, and a
home which that user can reach. No folder that is not ours is changed for this."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded import binaries, files
from deploy.embedded.account import Account, may, unprivileged
from deploy.embedded.failure import StackFailure
from deploy.embedded.layout import Layout, holds_sockets

NODES = ("primary", "replica")


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
            files.give_folder(path, self.account.uid, self.account.gid)
        return path


def ensure(layout: Layout) -> PostgresHome:
    account = unprivileged()
    link = layout.var / "postgres"
    link.parent.mkdir(parents=True, exist_ok=True)
    home = _home_of(account, link) if account else _own_home(link) or _plain_home(link, layout)
    for folder in (home.sockets, *(home.socket_folder(node) for node in NODES)):
        files.make_folder(folder)
        home.own(folder)
    return home


def _own_home(link: Path) -> PostgresHome | None:
    """What root has made for the user that we are, as the guardian of root's stack is."""
    path = link.resolve()
    if not (path / "run").is_dir() or path.stat().st_uid != os.getuid():
        return None
    programs = binaries.postgres()
    if not os.access(programs / "postgres", os.X_OK):
        programs = binaries.copy_postgres(path, {})
    return PostgresHome(path, path / "run", programs, None)


def _plain_home(link: Path, layout: Layout) -> PostgresHome:
    if link.is_symlink():
        raise StackFailure(f"{layout.var} was made by root: choose another place with make up VAR=...")
    link.mkdir(mode=0o700, exist_ok=True)
    return PostgresHome(link, layout.run / "postgres", binaries.postgres(), None)


def _home_of(account: Account, link: Path) -> PostgresHome:
    if not link.exists():
        _make_home(account, link)
    path = link.resolve()
    if path.stat().st_uid != account.uid:
        raise StackFailure(f"{link} leads to {path}, which does not belong to Postgres' user: remove {link}")
    programs = binaries.postgres()
    if not may(account, programs / "postgres", "--version"):
        programs = binaries.copy_postgres(path, account.subprocess_options())
    return PostgresHome(path, path / "run", programs, account)


def _make_home(account: Account, link: Path) -> None:
    """VAR/postgres itself if it will do, else a fresh folder elsewhere with VAR/postgres as a symbolic link to it."""
    link.unlink(missing_ok=True)
    if holds_sockets(link / "run") and may(account, Path("/usr/bin/env"), "test", "-x", link.parent):
        files.make_folder(link)
        files.give_folder(link, account.uid, account.gid)
        return
    folder = _fresh_folder(account)
    folder.chmod(0o700)
    files.give_folder(folder, account.uid, account.gid)
    link.symlink_to(folder)


def _fresh_folder(account: Account) -> Path:
    for parent in (Path("/var/lib/socialapp"), Path(tempfile.gettempdir())):
        try:
            parent.mkdir(mode=0o755, exist_ok=True)
            if may(account, Path("/usr/bin/env"), "test", "-x", parent):
                return Path(tempfile.mkdtemp(dir=parent, prefix=""))
        except OSError:
            continue
    raise StackFailure("Postgres' user can reach neither /var/lib nor the temp folder: run make as a user")
