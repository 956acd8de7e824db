"""Disks that a test may fill: a tmpfs of its own, which only root can mount."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A new folder with a disk of its own, until the end of the block. size: as tmpfs takes it, such as `600m`.

    Skips the test when this process may not mount.
    """
    folder.mkdir(mode=0o700)
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(mounting, capture_output=True, check=False).returncode:
        folder.rmdir()
        pytest.skip("only root can make a disk that a test may fill: run it as root to test full disks")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


@contextmanager
def filled(folder: Path) -> Iterator[Path]:
    """The file that takes up the rest of a disk, to the last byte. Deleting it makes room."""
    filler = folder / "filler"
    for size in (2**20, 1):
        with filler.open("ab", buffering=0) as file, suppress(OSError):
            while file.write(b"x" * size) == size:
                pass
    try:
        yield filler
    finally:
        filler.unlink(missing_ok=True)
