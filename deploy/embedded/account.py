"""As whom the programs of a stack run: never as root if another user can. Called by `stack` and `postgres_home`.

A stack that root starts belongs to an unprivileged user, supervisord and its guardian included; only the commands of
the Makefile go on as root. Where that user cannot reach the Python, the checkout or VAR (below root's home, say), the
programs that need them may read what root may read, by a capability of Linux, but still not write it.
"""

import compileall
import ctypes
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.embedded import binaries, files
from deploy.embedded.failure import StackFailure
from deploy.embedded.layout import Layout

PACKAGES = ("config", "deploy", "orders", "posts", "socialapp")
# From the checkout, from the environment, and from the Python below it.
IMPORTS = "import config, deploy.embedded.layout, django, psycopg, supervisor.supervisord"

# linux/capability.h and linux/prctl.h.
CAPABILITIES_VERSION = 0x20080522
CAP_DAC_READ_SEARCH = 2
PR_SET_KEEPCAPS, PR_CAP_AMBIENT, RAISE, CLEAR_ALL = 8, 47, 2, 4


@dataclass(frozen=True)
class Account:
    """reads_all: whether its programs may read and pass through what root may."""

    uid: int
    gid: int
    reads_all: bool = False

    def subprocess_options(self) -> dict:
        if self.reads_all:
            return {"preexec_fn": self.become}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def become(self) -> None:
        """Change this process, which is a child of root's, to this user. Raises OSError."""
        libc = ctypes.CDLL(None, use_errno=True)
        checked(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
        os.setgroups([])
        os.setgid(self.gid)
        os.setuid(self.uid)
        kept = 1 << CAP_DAC_READ_SEARCH
        checked(libc.capset((ctypes.c_uint32 * 2)(CAPABILITIES_VERSION, 0), (ctypes.c_uint32 * 6)(kept, kept, kept)))
        checked(libc.prctl(PR_CAP_AMBIENT, RAISE, CAP_DAC_READ_SEARCH, 0, 0))


def checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), "the capability cannot be kept")


def read_no_more() -> None:
    """What this process executes next has the capability no longer; only what it is executed from may need it."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_CAP_AMBIENT, CLEAR_ALL, 0, 0, 0)


def unprivileged() -> Account | None:
    """The user that root's stacks run as; None for anybody else, who stays who they are."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise StackFailure("Postgres refuses to run as root, and there is neither postgres nor nobody: run make as a user")


def may(account: Account, program: str | Path, *arguments: str | Path, **options) -> bool:
    """Whether this works as that user: asking beats reasoning about modes, groups and access lists."""
    options = {"cwd": "/", "capture_output": True} | options | account.subprocess_options()
    try:
        return subprocess.run([program, *arguments], **options).returncode == 0
    except (PermissionError, subprocess.SubprocessError):
        return False
    except OSError as error:
        raise StackFailure(f"Postgres refuses to run as root, and no other user can be used here ({error})") from None


def of_programs(account: Account, layout: Layout) -> Account | None:
    """That user with what it needs to run all programs; None where even the capability does not help."""
    candidates = (account, replace(account, reads_all=True))
    return next((one for one in candidates if reaches_python(one, layout) and reaches_servers(one, layout)), None)


def reaches_python(account: Account, layout: Layout) -> bool:
    surroundings = {"PATH": os.defpath, "PYTHONPATH": str(layout.checkout)}
    return may(account, sys.executable, "-c", IMPORTS, env=surroundings)


def reaches_servers(account: Account, layout: Layout) -> bool:
    return (
        may(account, "/usr/bin/env", "test", "-x", layout.var)
        and may(account, binaries.nginx(), "-v")
        and may(account, binaries.valkey(), "--version")
    )


def hand_over(account: Account, layout: Layout) -> None:
    """Give everything in VAR, and the folder of sockets, to that user; what it makes later is its own.

    Raises StackFailure, see files.py.
    """
    for top in (layout.var, layout.run):
        files.give_tree(top, account.uid, account.gid)


def compile_checkout(layout: Layout) -> None:
    """That user cannot write compiled modules next to the code: without them each program starts a second later."""
    for package in PACKAGES:
        compileall.compile_dir(layout.checkout / package, quiet=2)
