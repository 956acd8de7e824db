"""A browser, as far as tests need one: it keeps cookies, and fills in forms with their CSRF token."""

import re
from dataclasses import dataclass, field
from http.cookies import Morsel, SimpleCookie
from urllib.parse import urlencode

from socialapp.tests.client import PASSWORD, Answer, Api

TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="([^"]+)"')


@dataclass
class Browser:
    api: Api
    cookies: dict[str, str] = field(default_factory=dict)
    username: str = ""

    def request(self, method: str, address: str, body: bytes | None = None, **headers: str) -> Answer:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"Accept": "text/html", **({"Cookie": cookies} if cookies else {})} | headers
        answer = self.api.request(method, address, body, **sent)
        for line in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in SimpleCookie(line).items():
                self._keep(name, morsel)
        return answer

    def _keep(self, name: str, morsel: Morsel) -> None:
        if morsel["max-age"] == "0":
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = morsel.value

    def get(self, address: str, **headers: str) -> Answer:
        return self.request("GET", address, **headers)

    def submit(self, address: str, fields: dict[str, str], **headers: str) -> Answer:
        """Post a form with the token that the page's cookie asks for."""
        body = urlencode(fields | {"csrfmiddlewaretoken": self.cookies.get("csrftoken", "")}).encode()
        return self.request("POST", address, body, Content_Type="application/x-www-form-urlencoded", **headers)

    def log_in(self, username: str, password: str = PASSWORD, *, page: str = "/auth/login/", to: str = "") -> Answer:
        assert TOKEN.search(self.get(page).body)
        self.username = username
        return self.submit(page, {"username": username, "password": password, "next": to})


def set_cookies(answer: Answer) -> dict[str, str]:
    """The Set-Cookie lines of an answer, by name."""
    lines = answer.headers.get_all("Set-Cookie") or []
    return {line.partition("=")[0]: line for line in lines}
