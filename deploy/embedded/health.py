"""Asks each part whether it works, over the same sockets that the application uses. Answers "" or what is wrong."""

import http.client
import json
import socket
from dataclasses import dataclass
from pathlib import Path

import psycopg

from deploy.embedded import programs
from deploy.embedded.environment import database_url
from deploy.embedded.programs import Cast

SECONDS = 2.0


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = unix_socket(self.path, self.timeout)


def unix_socket(path: Path, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def get(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    try:
        connection.request("GET", path, headers={"Host": "127.0.0.1", "Accept": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@dataclass(frozen=True)
class Doctor:
    cast: Cast

    def complaint(self, name: str) -> str:
        """What is wrong with this program, or "" when it works. Celery's processes are judged by `readiness`."""
        try:
            return self._examine(name)
        except (OSError, http.client.HTTPException, psycopg.Error) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return lines[-1].strip()

    def _examine(self, name: str) -> str:
        if name.startswith("postgres-"):
            return self._postgres(name.removeprefix("postgres-"))
        if name in programs.VALKEYS:
            return self._valkey(name)
        if name in programs.POOLS:
            status, _ = get(UnixConnection(self.cast.layout.socket(name), SECONDS), "/health")
            return "" if status == 200 else f"/health answers {status}"
        if name == "nginx":
            # Whatever it answers, also that no pool is there yet: it is nginx that answers.
            get(self.gateway(), "/-nothing")
        return ""

    def _postgres(self, node: str) -> str:
        secret = self.cast.secret
        url = database_url("postgres", secret.superuser_password, self.cast.home, node, "postgres")
        with psycopg.connect(url, connect_timeout=2, autocommit=True) as connection:
            if node == "primary":
                return ""
            row = connection.execute("SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'").fetchone()
        return "" if row == (1,) else "does not stream from the primary yet"

    def _valkey(self, name: str) -> str:
        with unix_socket(self.cast.layout.socket(name), SECONDS) as connection:
            connection.sendall(b"PING\r\n")
            answer = connection.recv(64)
        return "" if answer.startswith(b"+PONG") else answer.decode(errors="replace").strip()

    def gateway(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.cast.port, timeout=5)

    def readiness(self) -> tuple[str, dict]:
        """What the application says about itself, through the gateway: a complaint or "", and one entry per part."""
        try:
            status, body = get(self.gateway(), "/health/ready")
            document = json.loads(body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"/health/ready: {error}", {}
        parts = dependencies(document)
        if status == 200 and all(parts.values()):
            return "", parts
        lacking = ", ".join(name for name, fine in parts.items() if not fine)
        return f"/health/ready answers {status}{f': {lacking}' if lacking else ''}", parts


def dependencies(document: object) -> dict[str, bool]:
    """{"primary": True, …} from the readiness document: its entries are objects with a `status`, or plain words."""
    if not isinstance(document, dict):
        return {}
    nested = next((value for value in document.values() if isinstance(value, dict)), {})
    words = {name: entry.get("status") if isinstance(entry, dict) else entry for name, entry in nested.items()}
    return {name: word in ("up", "ok", "ready", "healthy", True) for name, word in words.items()}
