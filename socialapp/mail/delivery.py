"""Hands emails to the mail server, over one connection per batch, and tells whose fault it is when that fails."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from smtplib import SMTPDataError, SMTPException, SMTPRecipientsRefused, SMTPServerDisconnected

from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from socialapp.cqrs.breaker import Breaker
from socialapp.cqrs.failures import OutsideUnreachable

# SMTP's replies, RFC 5321 4.2: the server closes the connection; anything from here on is for good.
CLOSING = 421
PERMANENT = 500

_breaker = Breaker(open_for=(5.0, 10.0), probe=10.0)


class NotTaken(Exception):
    """The server takes other emails, but not this one. The message is the server's reply."""


class Refused(NotTaken):
    """And never will."""


class Deferred(NotTaken):
    """A full mailbox, or greylisting: it may be asked again later."""


@contextmanager
def connected() -> Iterator[BaseEmailBackend]:
    """A connection, which the first email opens."""
    connection = get_connection()
    try:
        yield connection
    finally:
        _close(connection)


def send(message: EmailMessage, connection: BaseEmailBackend) -> None:
    """Raises Refused, Deferred, or OutsideUnreachable when it is not about this email."""
    if not _breaker.admits():
        raise OutsideUnreachable("the mail server failed a moment ago")
    try:
        _send(message, connection)
    except OSError as error:
        # smtplib's errors are of this class, too.
        reply = _reply_about_the_email(error)
        if reply is None:
            _breaker.trip()
            raise OutsideUnreachable(f"the mail server: {error!r}") from error
        _breaker.close()
        raise (Refused if reply[0] >= PERMANENT else Deferred)("{} {}".format(*reply)) from error
    _breaker.close()


def _send(message: EmailMessage, connection: BaseEmailBackend) -> None:
    """Servers hang up on who was idle, or has sent enough: then once more, on a new connection."""
    is_new = connection.open()
    try:
        connection.send_messages([message])
    except SMTPException as error:
        if is_new or not _has_hung_up(error):
            raise
        _close(connection)
        connection.open()
        connection.send_messages([message])


def _close(connection: BaseEmailBackend) -> None:
    with suppress(OSError):
        connection.close()


def _has_hung_up(error: SMTPException) -> bool:
    return isinstance(error, SMTPServerDisconnected) or _reply(error)[0] == CLOSING


def _reply_about_the_email(error: OSError) -> tuple[int, str] | None:
    """Code and words, when the server has said no to this recipient or this text, and not to us."""
    if not isinstance(error, SMTPRecipientsRefused | SMTPDataError):
        return None
    code, words = _reply(error)
    return None if code == CLOSING else (code, words)


def _reply(error: SMTPException) -> tuple[int, str]:
    if isinstance(error, SMTPRecipientsRefused):
        # There is one.
        ((code, words),) = error.recipients.values()
    else:
        code, words = getattr(error, "smtp_code", 0), getattr(error, "smtp_error", b"")
    return code, words.decode(errors="replace") if isinstance(words, bytes) else str(words)
