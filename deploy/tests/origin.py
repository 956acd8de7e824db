"""A web server on a unix socket that answers as a test tells it; stands in for a pool behind a real nginx."""

import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path


@dataclass
class Answer:
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    # Close the connection instead: the request was received, and no answer comes.
    breaks_off: bool = False


@dataclass
class Origin:
    path: Path
    answer: Callable[["Handler"], Answer] = lambda _: Answer()
    seen: list["Handler"] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self.server = Server(str(self.path), Handler)
        self.server.origin = self
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """As a kill does: open connections break, and the socket's file stays."""
        self.server.shutdown()
        self.server.server_close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *request: object) -> None:
        """A connection that a test has broken is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.origin.connections.append(self.connection)

    def address_string(self) -> str:
        return "gateway"

    def log_message(self, *args: object) -> None:
        """The test asks `seen` instead."""

    def handle_request(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.origin.seen.append(self)
        answer = self.server.origin.answer(self)
        if answer.breaks_off:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_OPTIONS = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request  # noqa: N815 the base's names
