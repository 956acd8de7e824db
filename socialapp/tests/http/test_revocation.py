"""Loss of a right, through the gateway and at every server: within 5 s whatever the right allowed is refused."""

import time
from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from socialapp.tests.client import PASSWORD, Answer, Api, register
from socialapp.tests.http.browser import Browser
from socialapp.tests.http.checks import refused

LIMIT = 5.0
OTHER = "a different horse battery"
# As often each way has to refuse in a row: a pool has two servers.
IN_A_ROW = 4


@dataclass
class Staff:
    """An operator with an access token, a refresh token and a session in the admin."""

    api: Api
    id: str
    refresh: str
    browser: Browser
    servers: dict[str, Api] = field(default_factory=dict)

    def ways(self) -> dict:
        """What each does while the rights hold, by name. True when it is refused."""
        of_servers = {name: lambda api=api: is_401(api.get("/api/v1/me")) for name, api in self.servers.items()}
        return of_servers | {
            "own read": lambda: is_401(self.api.get("/api/v1/me")),
            "public read": lambda: is_401(self.api.get("/api/v1/posts?limit=1")),
            "staff list": lambda: is_401(self.api.get("/api/v1/orders?scope=all")),
            "post": lambda: is_401(self.api.post("/api/v1/posts", {"text": "still here"})),
            "order cancel": lambda: is_401(self.api.delete(f"/api/v1/orders/{uuid4()}")),
            "refresh": self.refresh_is_refused,
            "admin page": lambda: self.browser.get("/admin/orders/order/").status == 302,
            "browser's read": lambda: is_401(self.browser.get("/api/v1/me", Accept="application/json")),
        }

    def refresh_is_refused(self) -> bool:
        answer = Api(self.api.at).post("/api/v1/auth/token/refresh", {"refresh": self.refresh})
        if is_401(answer):
            return True
        self.refresh = answer.json()["refresh"]
        return False


def is_401(answer: Answer) -> bool:
    assert answer.status < 500, answer.body
    return answer.status == 401


def sign_in(api: Api, password: str = PASSWORD) -> dict:
    answer = Api(api.at).post("/api/v1/auth/token", {"username": api.username, "password": password})
    assert answer.status == 200, answer.body
    tokens = answer.json()
    api.headers["Authorization"] = f"Bearer {tokens['access']}"
    return tokens


def set_access(operator: Browser, user_id: str, **rights: str) -> None:
    """As an operator does: in the admin."""
    address = f"/admin/accounts/user/{user_id}/change/"
    answer = operator.submit(address, rights | {"_save": "Save"})
    assert answer.status == 302, answer.body[-2000:]


@pytest.fixture
def staff(stack, stack_url, operator) -> Staff:
    api = register(stack_url)
    user_id = api.get("/api/v1/me").json()["id"]
    set_access(operator, user_id, is_active="on", is_staff="on")
    tokens = sign_in(api)
    browser = Browser(Api(stack_url))
    assert browser.log_in(api.username, page="/admin/login/").status == 302
    names = ("read-1", "read-2", "write-1", "write-2")
    servers = {name: Api(stack.socket(name), headers=api.headers) for name in names}
    return Staff(api, user_id, tokens["refresh"], browser, servers)


def deactivated(staff: Staff, operator: Browser) -> None:
    set_access(operator, staff.id, is_staff="on")


def demoted(staff: Staff, operator: Browser) -> None:
    set_access(operator, staff.id, is_active="on")


def logged_out(staff: Staff, operator: Browser) -> None:
    assert Api(staff.api.at).post("/api/v1/auth/logout", {"refresh": staff.refresh}).status == 204
    before = dict(staff.browser.cookies)
    assert staff.browser.submit("/admin/logout/", {}).status == 302
    staff.browser.cookies = before


def password_changed(staff: Staff, operator: Browser) -> None:
    elsewhere = Api(staff.api.at, staff.api.username)
    sign_in(elsewhere)
    answer = elsewhere.post("/api/v1/auth/password/change", {"old": PASSWORD, "new": OTHER})
    assert answer.status == 204, answer.body


@pytest.mark.parametrize(
    "cause", [deactivated, demoted, logged_out, password_changed], ids=lambda cause: cause.__name__
)
def test_every_way_is_refused_within_five_seconds(staff, operator, cause):
    # given rights that every server has seen used
    for name, is_refused in staff.ways().items():
        assert not any(is_refused() for _ in range(2)), name
    # when they are lost
    cause(staff, operator)
    lost = time.monotonic()
    # then each way is refused in time, and stays so
    left = staff.ways()
    while left:
        assert time.monotonic() - lost < LIMIT, f"still allowed: {', '.join(left)}"
        left = {name: is_refused for name, is_refused in left.items() if not is_refused()}
    for name, is_refused in staff.ways().items():
        assert all(is_refused() for _ in range(IN_A_ROW)), name


def test_who_lost_staff_rights_may_sign_in_again_without_them(staff, operator):
    demoted(staff, operator)
    sign_in(staff.api)
    assert staff.api.get("/api/v1/me").status == 200
    refused(staff.api.get("/api/v1/orders?scope=all"), 403)


def test_a_revoked_token_says_so(staff):
    logged_out(staff, staff.browser)
    deadline = time.monotonic() + LIMIT
    while (answer := staff.api.get("/api/v1/me")).status != 401:
        assert time.monotonic() < deadline
    refused(answer, 401, code="token_revoked")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


# ---- changing a password ----


def change(api: Api, old: str, new: str) -> Answer:
    return api.post("/api/v1/auth/password/change", {"old": old, "new": new})


def test_the_session_that_changes_the_password_goes_on(user):
    tokens = sign_in(user)
    assert change(user, PASSWORD, OTHER).status == 204
    assert user.get("/api/v1/me").status == 200
    renewed = user.post("/api/v1/auth/token/refresh", {"refresh": tokens["refresh"]})
    assert renewed.status == 200
    assert user.get("/api/v1/me", Authorization=f"Bearer {renewed.json()['access']}").status == 200
    refused(Api(user.at).post("/api/v1/auth/token", {"username": user.username, "password": PASSWORD}), 401)
    sign_in(user, OTHER)


def test_a_browser_that_changes_the_password_goes_on(browser, user):
    browser.log_in(user.username)
    body = b'{"old": "%s", "new": "%s"}' % (PASSWORD.encode(), OTHER.encode())
    answer = browser.request(
        "POST", "/api/v1/auth/password/change", body,
        Content_Type="application/json", Accept="application/json", X_CSRFToken=browser.cookies["csrftoken"],
    )  # fmt: skip
    assert answer.status == 204, answer.body
    assert browser.get("/api/v1/me", Accept="application/json").status == 200


def test_a_wrong_old_password_changes_nothing(user):
    errors = refused(change(user, OTHER, "yet another one here"), 400, code="validation_error")["errors"]
    assert [(error["field"], error["code"]) for error in errors] == [("old", "wrong_password")]
    sign_in(user)


@pytest.mark.parametrize("new", ["short", "password", "1234567890123"])
def test_a_weak_new_password_is_refused(user, new):
    errors = refused(change(user, PASSWORD, new), 400)["errors"]
    assert {error["field"] for error in errors} == {"new"}
    sign_in(user)


def test_a_new_password_like_ones_own_name_is_refused(user):
    refused(change(user, PASSWORD, user.username), 400)


def test_changing_a_password_takes_a_session(api):
    refused(change(api, PASSWORD, OTHER), 401)


def test_trying_old_passwords_is_limited(user):
    answers = [change(user, f"guess {number} of many", OTHER) for number in range(12)]
    assert [answer.status for answer in answers] == [400] * 10 + [429] * 2
    assert int(answers[-1].headers["Retry-After"]) > 0
    refused(answers[-1], 429, code="throttled")


# ---- guessing ----


def test_guessing_at_the_api_is_limited(user, api):
    body = {"username": user.username, "password": "not this one"}
    statuses = [api.post("/api/v1/auth/token", body).status for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2


@pytest.mark.parametrize("page", ["/auth/login/", "/admin/login/"])
def test_guessing_at_a_form_is_limited(user, browser, page):
    answers = [browser.log_in(user.username, "not this one", page=page) for _ in range(12)]
    assert [answer.status for answer in answers] == [200] * 10 + [429] * 2
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert b"Too many attempts" in answers[-1].body and answers[-1].headers["Content-Type"].startswith("text/html")


def test_a_form_and_the_api_count_together(user, browser, api):
    for _ in range(10):
        browser.log_in(user.username, "not this one")
    body = {"username": user.username, "password": PASSWORD}
    refused(api.post("/api/v1/auth/token", body), 429, code="throttled")


def test_the_gateways_address_counts_and_not_what_a_client_claims(user, api):
    body = {"username": user.username, "password": "not this one"}
    statuses = [
        api.post("/api/v1/auth/token", body, X_Real_IP=f"192.0.2.{n}", X_Forwarded_For=f"192.0.2.{n}").status
        for n in range(12)
    ]
    assert statuses == [401] * 10 + [429] * 2


def test_signing_in_makes_a_device_known(browser, user):
    browser.log_in(user.username)
    assert "device" in browser.cookies
