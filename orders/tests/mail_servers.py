"""A mail server of a test's own (aiosmtpd), which can be told to be difficult, and orders of people who have an email
address."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller

from deploy.embedded.ground import free_port


class Mailbox:
    """What the server has taken. replies: by command ("MAIL", "RCPT", "DATA"), a function from the recipient or sender
    to the reply, None for yes."""

    def __init__(self):
        self.messages: list[EmailMessage] = []
        self.replies: dict = {}
        # Kept, not their id()s: a session that is gone hands its own on to a later one.
        self.sessions: list = []

    def to(self, recipient: str) -> list[EmailMessage]:
        return [message for message in self.messages if message["To"] == recipient]

    def reply(self, command: str, address: str) -> str | None:
        return self.replies.get(command, lambda address: None)(address)

    async def handle_MAIL(self, server, session, envelope, address, options):
        if session not in self.sessions:
            self.sessions.append(session)
        envelope.mail_from = address
        return self.reply("MAIL", address) or "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        envelope.rcpt_tos.append(address)
        return self.reply("RCPT", address) or "250 OK"

    async def handle_DATA(self, server, session, envelope):
        refused = self.reply("DATA", envelope.rcpt_tos[0])
        if not refused:
            self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return refused or "250 taken"


@contextmanager
def mail_server(mailbox: Mailbox, **options) -> Iterator[Controller]:
    """options: of aiosmtpd's Controller, and so of its SMTP."""
    controller = Controller(mailbox, hostname="127.0.0.1", **{"port": free_port()} | options)
    controller.start()
    try:
        yield controller
    finally:
        controller.stop()


def some_address() -> str:
    return f"ada.{secrets.token_hex(4)}@example.org"
