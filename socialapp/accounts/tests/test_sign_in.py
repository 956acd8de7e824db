"""How often passwords may be tried: strangers are slowed down, owners are not. Nobody learns which accounts exist."""

import json
import logging
import secrets
import threading
from contextlib import suppress

import pytest
from django.contrib.auth import authenticate
from django.http import HttpResponse
from django.test import RequestFactory
from rest_framework.exceptions import ValidationError

from socialapp.accounts import passwords, refresh, sign_in
from socialapp.accounts.models import LONGEST_PASSWORD
from socialapp.cqrs import valkey
from socialapp.resilience import rates
from socialapp.resilience.rates import Rate, TooManyRequests
from socialapp.tests.client import PASSWORD

WRONG = "not this one"


@pytest.fixture(autouse=True)
def closed_breaker():
    rates.breaker.close()
    yield
    rates.breaker.close()


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Buckets that are emptied soon."""
    for name, size in (("PER_ACCOUNT_AND_NETWORK", 3), ("PER_ACCOUNT", 6), ("PER_NETWORK", 9)):
        rate = getattr(sign_in, name)
        monkeypatch.setattr(sign_in, name, Rate(rate.name, size, 60))


def request_from(address: str = "", **cookies: str):
    request = RequestFactory().post("/api/v1/auth/token", **({"HTTP_X_REAL_IP": address} if address else {}))
    request.COOKIES |= cookies
    return request


def guess(account: str, address: str, password: str = WRONG, **cookies: str):
    return authenticate(request_from(address, **cookies), username=account, password=password)


def guesses(account: str, address: str, most: int = 50) -> int:
    """How many one gets from an address before one is stopped."""
    for number in range(most):
        try:
            assert guess(account, address) is None
        except TooManyRequests as refusal:
            assert 0 < int(refusal.headers["Retry-After"]) <= 60 and refusal.status == 429
            return number
    return most


def addresses():
    return (f"198.51.{secrets.randbelow(250)}.{secrets.randbelow(250)}" for _ in range(100))


def test_guesses_from_one_address_are_few(person):
    assert guesses(person.username, "192.0.2.1") == 3


def test_an_address_in_any_case_of_the_name_is_the_same(person):
    assert guesses(person.username, "192.0.2.1") == 3
    assert guesses(person.username.upper(), "192.0.2.1") == 0


def test_an_account_that_does_not_exist_is_stopped_alike(clean_stores):
    assert guesses(f"nobody_{secrets.token_hex(4)}", "192.0.2.1") == 3


def test_guesses_from_many_addresses_are_few_as_well(person):
    assert sum(guesses(person.username, address) for address in addresses()) == 6


def test_an_ipv6_customer_has_one_address(person):
    total = sum(guesses(person.username, f"2001:db8:0:{subnet:x}::{host}") for subnet in range(9) for host in range(3))
    assert total == 3


def test_guesses_at_many_accounts_are_few(clean_stores):
    assert sum(guesses(f"nobody_{number}", "192.0.2.1") for number in range(9)) == 9


def test_the_right_password_costs_nothing(person):
    for _ in range(20):
        assert guess(person.username, "192.0.2.1", PASSWORD) == person


def test_guesses_at_the_same_moment_are_counted(person):
    barrier, answers = threading.Barrier(12), []

    def one():
        barrier.wait()
        try:
            rates.take([sign_in.PER_ACCOUNT_AND_NETWORK.of(person.username, "192.0.2.1")], "")
            answers.append(True)
        except TooManyRequests:
            answers.append(False)

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(True) == 3


def test_a_password_that_no_form_should_send_is_wrong_and_not_hashed(person, monkeypatch):
    monkeypatch.setattr("django.contrib.auth.models.AbstractBaseUser.check_password", lambda *_: pytest.fail("hashed"))
    assert guess(person.username, "192.0.2.1", "x" * (LONGEST_PASSWORD + 1)) is None


# ---- strangers lock nobody out ----


@pytest.fixture
def attacked(person):
    """Strangers have emptied the bucket of the account."""
    refresh.begin(person, sign_in.network_digest(request_from("203.0.113.7")))
    assert sum(guesses(person.username, address) for address in addresses()) == 6
    return person


def test_a_stranger_waits(attacked):
    with pytest.raises(TooManyRequests):
        guess(attacked.username, "203.0.113.8", PASSWORD)


def test_an_owner_where_they_signed_in_before_does_not(attacked):
    assert guess(attacked.username, "203.0.113.7", PASSWORD) == attacked


def test_an_owner_on_a_known_device_does_not(attacked):
    request = request_from("203.0.113.9")
    request.proved_user = attacked
    cookie = sign_in.remembers_devices(lambda _: HttpResponse())(request).cookies["device"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"
    assert guess(attacked.username, "203.0.113.9", PASSWORD, device=cookie.value) == attacked


def test_anothers_device_is_no_known_one(attacked, clean_stores):
    forged = sign_in.signing.dumps("somebody_else", salt=sign_in.DEVICE_SALT)
    for cookie in (forged, "nonsense", ""):
        with pytest.raises(TooManyRequests):
            guess(attacked.username, "203.0.113.9", PASSWORD, device=cookie)


def test_an_owner_who_signed_in_there_in_any_way_does_not(person):
    """The admin and the browsable API make no Session of the API."""
    assert guess(person.username, "203.0.113.20", PASSWORD) == person
    assert sum(guesses(person.username, address) for address in addresses()) == 6
    assert guess(person.username, "203.0.113.20", PASSWORD) == person


def device_of(*people, cookie: str = "") -> str:
    """The cookie of a browser where these signed in, one after the other."""
    for one in people:
        request = request_from("203.0.113.9", **({"device": cookie} if cookie else {}))
        request.proved_user = one
        cookie = sign_in.remembers_devices(lambda _: HttpResponse())(request).cookies["device"].value
    return cookie


def test_strangers_in_the_network_of_an_owners_device_do_not_lock_it_out(attacked):
    cookie = device_of(attacked)
    with suppress(TooManyRequests):
        for _ in range(9):
            guess(attacked.username, "203.0.113.7")
    assert guess(attacked.username, "203.0.113.7", PASSWORD, device=cookie) == attacked


def test_guesses_on_a_known_device_are_few_too(attacked):
    cookie = device_of(attacked)
    for _ in range(sign_in.PER_DEVICE.size):
        guess(attacked.username, "203.0.113.9", device=cookie)
    with pytest.raises(TooManyRequests):
        guess(attacked.username, "203.0.113.9", device=cookie)


def test_whoever_shares_a_browser_gets_no_more_guesses_by_signing_in(attacked, people):
    """Their own sign-in costs them nothing, and the browser gets another cookie each time."""
    cookie, other = device_of(attacked), people(1)[0]
    for _ in range(sign_in.PER_DEVICE.size):
        guess(attacked.username, "203.0.113.9", device=cookie)
        cookie = device_of(other, cookie=cookie)
    with pytest.raises(TooManyRequests):
        guess(attacked.username, "203.0.113.9", device=cookie)


@pytest.mark.parametrize("several", [False, True])
def test_a_cookie_of_earlier_code_is_known_and_has_one_bucket(attacked, people, several):
    name = attacked.username
    cookie = sign_in.signing.dumps([name] if several else name, salt=sign_in.DEVICE_SALT)
    assert guess(name, "203.0.113.9", PASSWORD, device=cookie) == attacked
    for _ in range(sign_in.PER_DEVICE.size):
        guess(name, "203.0.113.9", device=device_of(*people(1), cookie=cookie))
    with pytest.raises(TooManyRequests):
        guess(name, "203.0.113.9", device=cookie)


def test_a_browser_is_remembered_for_several_people(attacked, people):
    cookie = device_of(attacked, *people(sign_in.MOST_NAMES - 1))
    assert guess(attacked.username, "203.0.113.9", PASSWORD, device=cookie) == attacked
    with pytest.raises(TooManyRequests):
        guess(attacked.username, "203.0.113.10", PASSWORD, device=device_of(*people(1), cookie=cookie))


def test_a_session_that_goes_on_proves_the_password_whatever_strangers_do(attacked):
    passwords.prove(attacked, PASSWORD, request_from("203.0.113.8"))
    with pytest.raises(TooManyRequests):
        for _ in range(50):
            with suppress(ValidationError):
                passwords.prove(attacked, WRONG, request_from("203.0.113.8"))


def test_from_a_known_address_guesses_are_few_too(attacked):
    assert guesses(attacked.username, "203.0.113.7") == 3


# ---- the state store is down ----


def test_without_the_state_store_each_process_counts(person, monkeypatch):
    def unreachable():
        raise ConnectionError("no state store")

    monkeypatch.setattr(valkey, "state", unreachable)
    monkeypatch.setattr(rates, "_local", rates.Local())
    assert guess(person.username, "192.0.2.1", PASSWORD) == person
    assert guesses(person.username, "192.0.2.1") == 3


def test_what_one_process_counts_is_bounded(monkeypatch):
    monkeypatch.setattr(rates, "MOST_LOCAL", 5)
    local = rates.Local()
    for number in range(9):
        local.take([Rate("r", 1, 60).of(number)])
    assert len(local._full) == 5


def test_a_bucket_fills_again(clean_stores):
    bucket = [Rate("r", size=1, every=0.2).of(secrets.token_hex(4))]
    rates.take(bucket, "")
    with pytest.raises(TooManyRequests):
        rates.take(bucket, "")
    threading.Event().wait(0.25)
    rates.take(bucket, "")


# ---- the security log ----


def test_failures_are_logged_without_the_password(person, caplog):
    with caplog.at_level(logging.INFO, logger="socialapp.security"):
        guess(person.username, "192.0.2.1", "my secret guess")
        guess('x"\n' + "y" * 100, "192.0.2.1", "my secret guess")
    first, second = (record.getMessage() for record in caplog.records if record.name == "socialapp.security")
    document = json.loads(first)
    assert document["event"] == "sign_in_failed" and document["account"] == person.username
    assert document["address"] == "192.0.2.1" and document["path"] == "/api/v1/auth/token"
    assert "my secret guess" not in first + second and "\n" not in second
    assert len(json.loads(second)["account"]) <= 65


def test_what_is_stopped_is_logged(person, caplog):
    with caplog.at_level(logging.INFO, logger="socialapp.security"):
        guesses(person.username, "192.0.2.1")
    assert json.loads(caplog.records[-1].getMessage())["event"] == "sign_in_throttled"
