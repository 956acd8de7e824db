"""A small HTTP client of the API for tests: real requests to the gateway or to one server's socket."""

import http.client
import json
import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

PASSWORD = "correct horse battery"


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body)

    @property
    def token(self) -> str:
        return self.headers["Consistency-Token"]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@dataclass
class Api:
    """`at` is a URL, or the path of a server's unix socket. `headers` go with every request."""

    at: str | Path
    username: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """`path` may be a URL as answers carry it. `body` is sent as JSON, or as it is when it is bytes.

        Headers are written if_match="...".
        """
        sent = {"Accept": "application/json", **self.headers}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = self._connection()
        try:
            connection.request(method, path.removeprefix(str(self.at)), body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if isinstance(self.at, Path):
            return UnixConnection(self.at, timeout=15)
        address = urlsplit(self.at)
        return http.client.HTTPConnection(address.hostname, address.port, timeout=15)

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def post(self, path: str, body: object = None, **headers: str) -> Answer:
        return self.request("POST", path, body, **headers)

    def put(self, path: str, body: object = None, **headers: str) -> Answer:
        return self.request("PUT", path, body, **headers)

    def patch(self, path: str, body: object = None, **headers: str) -> Answer:
        return self.request("PATCH", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.request("DELETE", path, **headers)

    def create_post(self, text: str = "hello") -> dict:
        """A post that is applied when this returns."""
        answer = self.post("/api/v1/posts", {"text": text}, prefer="wait=5")
        assert answer.status == 201, answer.body
        return answer.json()


def register(at: str | Path, username: str | None = None) -> Api:
    """A new user, logged in with a bearer token."""
    username = username or f"user_{secrets.token_hex(6)}"
    api = Api(at, username)
    credentials = {"username": username, "password": PASSWORD}
    answer = api.post("/api/v1/auth/register", credentials)
    assert answer.status == 201, answer.body
    answer = api.post("/api/v1/auth/token", credentials)
    assert answer.status == 200, answer.body
    api.headers["Authorization"] = f"Bearer {answer.json()['access']}"
    return api
