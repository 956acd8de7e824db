"""Bytes to a server and bytes back, for requests that no HTTP library would send."""

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

HEAD = b"Host: localhost\r\nConnection: close\r\n"


@dataclass
class Reply:
    """`raw` holds all that came back; empty when the server closed without a word."""

    raw: bytes

    @property
    def status(self) -> int:
        """0 when there is no status line: an answer in HTTP/0.9."""
        line = self._final.partition(b"\r\n")[0].split(b" ", 2)
        return int(line[1]) if line[0].startswith(b"HTTP/") else 0

    @property
    def content_type(self) -> str:
        for line in self._head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-type":
                return value.strip().decode()
        return ""

    def problem(self) -> dict:
        """The document, whatever the framing of the body."""
        body = self._final.partition(b"\r\n\r\n")[2] if self.status else self.raw
        return json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])

    @property
    def _head(self) -> bytes:
        return self._final.partition(b"\r\n\r\n")[0]

    @property
    def _final(self) -> bytes:
        """Without the interim answer to `Expect`."""
        return self.raw.partition(b"\r\n\r\n")[2] if self.raw.startswith(b"HTTP/1.1 100") else self.raw


@dataclass
class Wire:
    at: str | Path

    def send(self, request: bytes, *, cut_off: bool = False) -> Reply:
        """Send all and read to the end. `cut_off` says that nothing more comes, where a server might wait for more."""
        with self._connect(timeout=15) as connection:
            try:
                connection.sendall(request)
                if cut_off:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # It was refused before all of it was read; the answer is there nevertheless.
            return Reply(_received(connection))

    def _connect(self, timeout: float) -> socket.socket:
        if isinstance(self.at, Path):
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(timeout)
            connection.connect(str(self.at))
            return connection
        address = urlsplit(self.at)
        return socket.create_connection((address.hostname, address.port), timeout)


def _received(connection: socket.socket) -> bytes:
    chunks = []
    try:
        while chunk := connection.recv(65536):
            chunks.append(chunk)
    except ConnectionResetError:
        pass
    return b"".join(chunks)
