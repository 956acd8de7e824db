"""Registration, refresh tokens, and whether anybody can be somebody else."""

import secrets
import threading
from uuid import uuid4

import pytest

from socialapp.tests.client import PASSWORD, Api, register
from socialapp.tests.http.checks import refused

# ---- refresh tokens ----


def log_in(api: Api) -> dict:
    answer = api.post("/api/v1/auth/token", {"username": api.username, "password": PASSWORD})
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    return answer.json()


def renew(api: Api, token: str):
    return api.post("/api/v1/auth/token/refresh", {"refresh": token})


def test_a_refresh_token_rotates(user):
    first = log_in(user)
    second = renew(user, first["refresh"]).json()
    assert second["refresh"] != first["refresh"]
    assert user.get("/api/v1/me", Authorization=f"Bearer {second['access']}").json()["username"] == user.username
    assert renew(user, second["refresh"]).status == 200


def test_a_reused_refresh_token_revokes_its_family_and_no_other(user):
    stolen, elsewhere = log_in(user)["refresh"], log_in(user)["refresh"]
    thiefs = renew(user, stolen).json()["refresh"]
    refused(renew(user, stolen), 401, code="invalid_refresh_token")
    refused(renew(user, thiefs), 401, code="invalid_refresh_token")
    assert renew(user, elsewhere).status == 200


def test_of_two_that_refresh_at_once_one_wins_and_the_family_ends(user):
    token = log_in(user)["refresh"]
    answers = at_once([lambda: renew(user, token)] * 4)
    won = [answer for answer in answers if answer.status == 200]
    assert len(won) == 1 and {answer.status for answer in answers} == {200, 401}
    refused(renew(user, won[0].json()["refresh"]), 401)


def test_a_logged_out_refresh_token_is_dead(user):
    token = log_in(user)["refresh"]
    assert user.post("/api/v1/auth/logout", {"refresh": token}).status == 204
    refused(renew(user, token), 401)


def test_logging_out_with_nonsense_tells_nothing(user):
    assert user.post("/api/v1/auth/logout", {"refresh": "nonsense"}).status == 204


def test_an_access_token_is_no_refresh_token(user):
    assert renew(user, log_in(user)["access"][:100]).status == 401


# ---- registration ----


def at_once(calls: list) -> list:
    answers, barrier = [], threading.Barrier(len(calls))

    def call(one):
        barrier.wait()
        answers.append(one())

    threads = [threading.Thread(target=call, args=(one,)) for one in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_a_name_belongs_to_one_in_any_case(api):
    name = f"Race_{secrets.token_hex(4)}"
    names = [name, name.lower(), name.upper(), name.swapcase()]
    answers = at_once(
        [lambda n=n: api.post("/api/v1/auth/register", {"username": n, "password": PASSWORD}) for n in names]
    )
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
    for answer in answers:
        if answer.status == 409:
            refused(answer, 409, code="username_taken")


def test_a_repeated_registration_is_answered_again(api):
    person = {"username": f"twice_{secrets.token_hex(4)}", "password": PASSWORD}
    first, again = (api.post("/api/v1/auth/register", person, idempotency_key="k") for _ in range(2))
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_repeated_registration_with_another_password_is_another_request(api):
    person = {"username": f"twice_{secrets.token_hex(4)}", "password": PASSWORD}
    api.post("/api/v1/auth/register", person, idempotency_key="k")
    other = api.post("/api/v1/auth/register", person | {"password": f"{PASSWORD} no"}, idempotency_key="k")
    refused(other, 422, code="idempotency_key_reused")


def test_passwords_are_not_guessed_by_repeating_a_registration(api):
    person = {"username": f"twice_{secrets.token_hex(4)}", "password": PASSWORD}
    api.post("/api/v1/auth/register", person, idempotency_key="k")
    guesses = [person | {"password": f"{PASSWORD} {number}"} for number in range(15)]
    statuses = [api.post("/api/v1/auth/register", guess, idempotency_key="k").status for guess in guesses]
    assert statuses == [422] * 10 + [429] * 5


def test_a_name_is_found_in_any_case(stack_url):
    name = f"Camel_{secrets.token_hex(4)}"
    registered = register(stack_url, name)
    assert registered.get(f"/api/v1/users/{name.upper()}").json()["username"] == name
    credentials = {"username": name.lower(), "password": PASSWORD}
    assert registered.post("/api/v1/auth/token", credentials).status == 200


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "12345678",
        "password",
        "correct_horse_9",
        "Somebody Else",
        "someone@example",
        "x" * 257,
        "a\x00bcdefgh",
        "",
    ],
)
def test_a_weak_password_is_refused(api, password):
    person = {"username": "correct_horse_9", "name": "Somebody Else", "email": "someone@example.org"}
    errors = refused(api.post("/api/v1/auth/register", person | {"password": password}), 400)["errors"]
    assert {error["field"] for error in errors} == {"password"}


@pytest.mark.parametrize(
    "name", ["ab", "x" * 31, "a b", "a-b", "a.b", "a\nb", "abc\u0000", "аbc", "ａｂｃ", "a\u200bbc", "../x", "<b>", ""]
)  # fmt: skip
def test_a_name_has_plain_letters(api, name):
    errors = refused(api.post("/api/v1/auth/register", {"username": name, "password": PASSWORD}), 400)["errors"]
    assert {error["field"] for error in errors} == {"username"}


def test_a_wrong_password_and_a_wrong_name_are_answered_alike(user):
    answers = [
        user.post("/api/v1/auth/token", {"username": name, "password": "not this one"})
        for name in (user.username, "nobody_is_called_so")
    ]
    assert answers[0].body == answers[1].body
    refused(answers[0], 401, code="wrong_credentials")


@pytest.mark.parametrize("field", ["id", "is_staff", "is_superuser", "is_active", "follower_count", "date_joined"])
def test_nobody_registers_with_more_than_is_asked_for(api, field):
    person = {"username": f"more_{secrets.token_hex(4)}", "password": PASSWORD, field: True}
    errors = refused(api.post("/api/v1/auth/register", person), 400)["errors"]
    assert errors[0]["field"] == field


# ---- being somebody else ----


def test_anothers_commands_do_not_exist(user, other_user, way_in):
    command = user.post("/api/v1/posts", {"text": "mine"}).json()["command"]["id"]
    for prefer in ("wait=0", "wait=1"):
        answer = Api(way_in, headers=other_user.headers).get(f"/api/v1/commands/{command}", prefer=prefer)
        refused(answer, 404, code="not_found")


@pytest.mark.parametrize("field", ["actor", "actor_id", "author", "author_id", "user_id", "moderated", "id", "stamp"])
def test_nobody_acts_in_anothers_name(user, other_user, field):
    someone = other_user.get("/api/v1/me").json()["id"]
    for method, address in (("POST", "/api/v1/posts"), ("PATCH", f"/api/v1/posts/{uuid4()}")):
        refused(user.request(method, address, {"text": "a", field: someone}), 400, code="validation_error")


def test_an_idempotency_key_is_ones_own(user, other_user):
    posts = [
        one.post("/api/v1/posts", {"text": "same"}, prefer="wait=5", idempotency_key="k") for one in (user, other_user)
    ]
    assert [post.status for post in posts] == [201, 201]
    assert posts[0].json()["id"] != posts[1].json()["id"]
    assert [post.json()["author"]["username"] for post in posts] == [user.username, other_user.username]


def test_anothers_token_of_consistency_gives_no_rights(user, other_user):
    token = other_user.post("/api/v1/posts", {"text": "theirs"}, prefer="wait=5").token
    mine = user.post("/api/v1/posts", {"text": "mine"}, prefer="wait=5", consistency_token=token)
    assert mine.json()["author"]["username"] == user.username


def test_a_token_goes_before_a_session(browser, user, other_user):
    browser.log_in(other_user.username)
    answer = browser.get("/api/v1/me", Accept="application/json", Authorization=user.headers["Authorization"])
    assert answer.json()["username"] == user.username
