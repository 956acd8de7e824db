"""All addresses of the project, walked from its URL patterns, with ids that fit and name nothing."""

import re
from uuid import uuid4

from socialapp.tests.architecture.test_registries import routes

EXAMPLES = {
    "uuid": lambda: str(uuid4()),
    "username": lambda: "nobody_is_called_so",
    "int": lambda: "1",
    "str": lambda: "x",
    "slug": lambda: "x",
    "path": lambda: "x",
}
PARAMETER = re.compile(r"<(?:(\w+):)?\w+>")
SESSION_PAGES = ("/admin/", "/auth/")
SAFE = ("GET", "HEAD", "OPTIONS")
UNSAFE = ("POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW")


def everywhere() -> list[str]:
    return [example(route) for route, _ in routes()]


def of_the_admin() -> list[str]:
    return [address for address in everywhere() if address.startswith("/admin/")]


def of_the_api() -> list[str]:
    return [address for address in everywhere() if not address.startswith(SESSION_PAGES)]


def example(route: str) -> str:
    if "(?P" in route:
        return "/" + route.partition("(?P")[0] + "x"
    return "/" + PARAMETER.sub(lambda found: EXAMPLES[found[1] or "str"](), route).replace("$", "").replace("^", "")


def name(address: str) -> str:
    """The same in every run, for the names of parametrized tests."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", address)
