"""Makes and changes a stack's files where another user may have been first.

The folders of a stack that root starts belong to an unprivileged user, who may put a symbolic link in the place of
anything in them, at any moment. So root opens every folder on the way without following links, and changes only what it
has opened.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.embedded.failure import StackFailure

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK root would wait at a FIFO.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
NOT_FOLLOWED = (errno.ELOOP, errno.ENOTDIR)


@contextmanager
def opened_folder(path: Path) -> Iterator[int]:
    """A descriptor of a folder; for root, nothing in its path is a symbolic link. Raises StackFailure, or OSError."""
    parts = path.parts[1:] if os.getuid() == 0 else ()
    folder = os.open("/" if os.getuid() == 0 else path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            inner = _open_at(folder, part, FOLDER, path)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def open_file(path: Path, flags: int, mode: int = 0o600) -> int:
    """As os.open; it follows no symbolic link. Raises StackFailure where there is one."""
    with opened_folder(path.parent) as folder:
        return _open_at(folder, path.name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, path, mode)


def make_folder(path: Path) -> None:
    """Make a private folder, unless it is there. Raises StackFailure for what is no folder, also a link to one."""
    with opened_folder(path.parent) as parent:
        with suppress(FileExistsError):
            os.mkdir(path.name, 0o700, dir_fd=parent)
        os.close(_open_at(parent, path.name, FOLDER, path))


def write_private(path: Path, text: str) -> None:
    """Write for the owner only, and all or nothing: a reader never sees half a file.

    What root writes belongs to the folder's owner, as whom the stack runs.
    """
    draft = f".{path.name}.{os.getpid()}"
    with opened_folder(path.parent) as folder:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            if os.getuid() == 0:
                owner = os.fstat(folder)
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.replace(draft, path.name, src_dir_fd=folder, dst_dir_fd=folder)


def give_folder(path: Path, uid: int, gid: int) -> None:
    """Give one folder to a user."""
    with opened_folder(path) as folder:
        _give(folder, uid, gid)


def give_tree(top: Path, uid: int, gid: int) -> None:
    """Give a folder to a user, with all folders and files in it. Links and sockets stay whose they are.

    Raises StackFailure for somebody else's file that has another name as well: that may be outside.
    """
    with opened_folder(top) as start:
        for place, _, names, folder in os.fwalk(".", dir_fd=start):
            _give(folder, uid, gid)
            for name in names:
                _give_file(folder, name, top / place / name, uid, gid)


def _give_file(folder: int, name: str, path: Path, uid: int, gid: int) -> None:
    # The user may take away at any time what is in its folders, or put something else there.
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if (found.st_uid, found.st_gid) == (uid, gid) or not stat.S_ISREG(found.st_mode):
            return
        descriptor = os.open(name, FILE, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENXIO, *NOT_FOLLOWED):
            return
        raise
    try:
        found = os.fstat(descriptor)
        if found.st_uid != uid and found.st_nlink > 1:
            raise StackFailure(f"{path} belongs to another user and has a second name (a hard link): remove it")
        if stat.S_ISREG(found.st_mode):
            _give(descriptor, uid, gid)
    finally:
        os.close(descriptor)


def _give(descriptor: int, uid: int, gid: int) -> None:
    found = os.fstat(descriptor)
    if (found.st_uid, found.st_gid) != (uid, gid):
        os.fchown(descriptor, uid, gid)


def _open_at(folder: int, name: str, flags: int, path: Path, mode: int = 0o600) -> int:
    try:
        return os.open(name, flags, mode, dir_fd=folder)
    except OSError as error:
        if error.errno in NOT_FOLLOWED:
            raise StackFailure(f"{path} has a symbolic link in it, or what is no folder ({name}): remove it") from None
        raise
