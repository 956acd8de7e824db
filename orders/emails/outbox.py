"""Emails as files instead of sending them: one .eml each in EMAIL_FILE_PATH, named by time; the newest MOST stay."""

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend
from django.utils.timezone import now

MOST = 1000
SHOWN = ("From", "To", "Date", "Message-ID", "Auto-Submitted")
NAME = re.compile(r"\d{8}-\d{6}-\d{6}-[0-9a-f]{6}")


class EmailBackend(BaseEmailBackend):
    """What EMAIL_BACKEND names for an EMAIL_URL of a folder."""

    def send_messages(self, email_messages) -> int:
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        for message in email_messages:
            _write(message.message().as_bytes(linesep="\r\n"))
        _prune()
        return len(email_messages)


@dataclass(frozen=True, slots=True)
class Kept:
    """name: without its suffix."""

    name: str
    message: EmailMessage

    @property
    def written_at(self) -> datetime:
        return datetime.strptime(self.name[:22], "%Y%m%d-%H%M%S-%f").replace(tzinfo=UTC)

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [(name, self.message[name]) for name in SHOWN if name in self.message]

    @property
    def text(self) -> str:
        return self._content("plain")

    @property
    def html(self) -> str:
        return self._content("html")

    def _content(self, kind: str) -> str:
        body = self.message.get_body((kind,))
        return body.get_content() if body else ""


def is_used() -> bool:
    return EmailBackend.__module__ in settings.EMAIL_BACKEND


def folder() -> Path:
    return Path(settings.EMAIL_FILE_PATH)


def names() -> list[str]:
    """Newest first."""
    return sorted((path.stem for path in folder().glob("*.eml") if NAME.fullmatch(path.stem)), reverse=True)


def read(name: str) -> Kept | None:
    """None when there is none of that name: only what this module could have named is looked for."""
    path = folder() / f"{name}.eml"
    if not NAME.fullmatch(name) or path.is_symlink():
        return None
    try:
        return Kept(name, message_from_bytes(path.read_bytes(), policy=policy.default))
    except FileNotFoundError:
        return None


def _write(content: bytes) -> None:
    """Under another name first: nobody reads half an email."""
    name = f"{now():%Y%m%d-%H%M%S-%f}-{secrets.token_hex(3)}"
    half = folder() / f"{name}.part"
    half.write_bytes(content)
    half.rename(folder() / f"{name}.eml")


def _prune() -> None:
    for name in names()[MOST:]:
        # Somebody else may be pruning, too.
        (folder() / f"{name}.eml").unlink(missing_ok=True)
