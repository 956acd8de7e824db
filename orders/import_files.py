"""CSV files between the preview of an import and its confirmation, which another write server may get.

They are kept in a folder of MEDIA_ROOT, which the write servers share, and not in the state store: there they would
take memory from Celery's messages, locks and sessions.
"""

import secrets
import time
from pathlib import Path

from django.conf import settings
from import_export.tmp_storages import BaseStorage

from socialapp.cqrs.problems import Problem

# Hidden: the gateway serves nothing whose name begins with a dot.
FOLDER = ".imports"
# Seconds, and files of at most 4 MiB; the oldest make room.
LIFETIME = 3600
MOST = 20


class Expired(Problem):
    status, code, title = 410, "import_expired", "The file is gone: upload it again"


class ImportFiles(BaseStorage):
    """As import_export wants it: `name` is None for a new file, else what a form sends back."""

    def save(self, data: bytes) -> None:
        folder = Path(settings.MEDIA_ROOT, FOLDER)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_room(folder)
        self.name = secrets.token_hex(16)
        path = folder / self.name
        path.touch(mode=0o600)
        path.write_bytes(data)

    def read(self) -> bytes:
        """Raises Expired."""
        try:
            if _is_expired(self._path()):
                raise Expired()
            return self._path().read_bytes()
        except FileNotFoundError as error:
            raise Expired() from error

    def remove(self) -> None:
        self._path().unlink(missing_ok=True)

    def _path(self) -> Path:
        """Raises Expired for a name that `save` has never given."""
        name = self.name or ""
        if len(name) != 32 or not set(name) <= set("0123456789abcdef"):
            raise Expired()
        return Path(settings.MEDIA_ROOT, FOLDER, name)


def _make_room(folder: Path) -> None:
    for path in folder.iterdir():
        if _is_expired(path):
            path.unlink(missing_ok=True)
    newest_first = sorted(folder.iterdir(), key=_written_at, reverse=True)
    for path in newest_first[MOST - 1 :]:
        path.unlink(missing_ok=True)


def _is_expired(path: Path) -> bool:
    return _written_at(path) < time.time() - LIFETIME


def _written_at(path: Path) -> float:
    """0 for a file that somebody else has removed meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
