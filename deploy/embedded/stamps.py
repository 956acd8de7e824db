"""Tells whether work of an earlier start still holds, so that a restart can skip it. When in doubt it is redone.
Used by `installation`."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg

from deploy.embedded.layout import Layout

NOT_OURS = frozenset({".git", ".venv", "node_modules", "__pycache__"})


def fingerprint(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(os.fsencode(path) + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def project_files(layout: Layout, folder_name: str) -> Iterator[Path]:
    """All files of the checkout below folders of this name: `migrations`, `static`."""
    for root, folders, files in os.walk(layout.checkout):
        folders[:] = [name for name in folders if name not in NOT_OURS and Path(root, name) != layout.var]
        inside = Path(root).relative_to(layout.checkout).parts
        if folder_name in inside:
            yield from (Path(root, name) for name in files if not name.endswith(".pyc"))


def of_migrations(layout: Layout) -> str:
    # `migrate` grants the read role its columns, too.
    grants = layout.checkout / "config" / "read_columns.py"
    return fingerprint([*project_files(layout, "migrations"), grants, *_installed(layout)])


def of_static_files(layout: Layout) -> str:
    settings = (layout.checkout / "config" / "settings").glob("*.py")
    return fingerprint([*project_files(layout, "static"), *settings, *_installed(layout)])


def _installed(layout: Layout) -> list[Path]:
    """Packages bring migrations and static files too."""
    requirements = layout.checkout / "requirements.txt"
    return [requirements] if requirements.exists() else []


def applied_migrations(url: str) -> str:
    """A fingerprint of what this database says was migrated; "" when it has no such table."""
    with psycopg.connect(url, connect_timeout=2) as connection:
        try:
            rows = connection.execute("SELECT app, name FROM django_migrations ORDER BY app, name, id").fetchall()
        except psycopg.errors.UndefinedTable:
            return ""
    return hashlib.sha256(repr(rows).encode()).hexdigest()
