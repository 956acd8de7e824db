"""Sessions and their refresh tokens: none outlives its session, whatever happens at the same moment."""

import threading
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.db.models.functions import Now

from socialapp.accounts import refresh
from socialapp.accounts.models import RefreshToken, Revocation, Session, User
from socialapp.resilience import rates


def test_a_rotated_token_belongs_to_the_same_session(person):
    session, token = refresh.begin(person)
    user, same, following = refresh.rotate(token)
    assert (user, same) == (person, session) and following != token


def test_a_second_use_ends_the_session(person):
    session, token = refresh.begin(person)
    _, _, following = refresh.rotate(token)
    for one in (token, following):
        with pytest.raises(refresh.InvalidRefreshToken):
            refresh.rotate(one)
    assert Revocation.objects.filter(session_id=session.pk).count() == 1


def test_a_session_ends_after_90_days_however_often_it_is_renewed(person):
    session, token = refresh.begin(person)
    _, _, following = refresh.rotate(token)
    assert session.ends_at - session.started_at == timedelta(days=90)
    # given a session near its end
    Session.objects.filter(pk=session.pk).update(ends_at=Now() + timedelta(days=1))
    _, _, last = refresh.rotate(following)
    # then no token outlives it
    session.refresh_from_db()
    assert RefreshToken.objects.filter(family=session.pk).latest("issued_at").expires_at == session.ends_at
    Session.objects.filter(pk=session.pk).update(ends_at=Now() - timedelta(seconds=1))
    with pytest.raises(refresh.InvalidRefreshToken):
        refresh.rotate(last)


def test_a_token_expires(person):
    session, token = refresh.begin(person)
    RefreshToken.objects.filter(family=session.pk).update(expires_at=Now() - timedelta(seconds=1))
    with pytest.raises(refresh.InvalidRefreshToken):
        refresh.rotate(token)


def in_thread(call) -> tuple[threading.Thread, list]:
    result = []

    def run():
        try:
            result.append(call())
        except Exception as error:
            result.append(error)
        finally:
            connections["default"].close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, result


def waits_for_lock() -> bool:
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return cursor.fetchone()[0] > 0


def until(condition) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")


@pytest.fixture
def paused_rotation(monkeypatch):
    """Begin a rotation that has used its token up, and has neither issued the next one nor committed."""

    def begin(token: str) -> tuple[threading.Thread, list, threading.Event]:
        looked, go_on, issue = threading.Event(), threading.Event(), refresh._issue

        def issue_later(session):
            looked.set()
            assert go_on.wait(10)
            return issue(session)

        monkeypatch.setattr(refresh, "_issue", issue_later)
        thread, result = in_thread(lambda: refresh.rotate(token))
        assert looked.wait(10)
        monkeypatch.setattr(refresh, "_issue", issue)
        return thread, result, go_on

    return begin


@pytest.mark.parametrize("ended_by", ["logout", "reuse"])
def test_no_child_outlives_a_session_that_ends_during_a_rotation(person, paused_rotation, ended_by):
    """The rotation has looked at its token, and the session ends before the next token is issued."""
    session, token = refresh.begin(person)
    used = token
    if ended_by == "reuse":
        _, _, token = refresh.rotate(used)
    rotation, rotated, go_on = paused_rotation(token)
    # when the session ends meanwhile
    ending, _ = in_thread(lambda: refresh.end(token) if ended_by == "logout" else refresh.rotate(used))
    until(lambda: waits_for_lock() or not ending.is_alive())
    go_on.set()
    rotation.join(10)
    ending.join(10)
    # then the token that the rotation issued is dead
    _, _, child = rotated[0]
    with pytest.raises(refresh.InvalidRefreshToken):
        refresh.rotate(child)


def test_of_two_uses_at_the_same_moment_the_second_ends_the_session(person, paused_rotation):
    session, token = refresh.begin(person)
    first, rotated, go_on = paused_rotation(token)
    # when the token is used once more
    second, refused = in_thread(lambda: refresh.rotate(token))
    until(lambda: waits_for_lock() or not second.is_alive())
    go_on.set()
    first.join(10)
    second.join(10)
    # then that use is refused, and the session has ended for both
    assert isinstance(refused[0], refresh.InvalidRefreshToken)
    with pytest.raises(refresh.InvalidRefreshToken):
        refresh.rotate(rotated[0][2])


def test_no_session_survives_that_begins_while_the_user_is_deactivated(person):
    """The sign-in has looked at the user, and the deactivation commits before the session does."""
    known = User.objects.get(pk=person.pk)
    User.objects.filter(pk=person.pk).update(is_active=False)
    User.objects.filter(pk=person.pk).update(is_active=True)
    _, token = refresh.begin(known)
    with pytest.raises(refresh.InvalidRefreshToken):
        refresh.rotate(token)


def test_tokens_of_the_former_release_go_on_and_end(person):
    """A process of that release knows no sessions: it adds a token, or marks it revoked."""
    session, token = refresh.begin(person)
    Session.objects.filter(pk=session.pk).delete()
    _, same, following = refresh.rotate(token)
    assert same.pk == session.pk
    RefreshToken.objects.filter(family=session.pk).update(revoked_at=Now())
    with pytest.raises(refresh.InvalidRefreshToken):
        refresh.rotate(following)


def test_a_session_is_not_renewed_without_end(person, monkeypatch):
    monkeypatch.setattr(refresh, "ROTATIONS", rates.Rate("refresh-of-session", size=2, every=60))
    _, token = refresh.begin(person)
    for _ in range(2):
        _, _, token = refresh.rotate(token)
    with pytest.raises(rates.TooManyRequests) as refusal:
        refresh.rotate(token)
    assert 0 < int(refusal.value.headers["Retry-After"]) <= 60


def test_what_has_expired_is_deleted_in_batches(person, monkeypatch):
    monkeypatch.setattr(refresh, "PURGED", 2)
    refresh.purge()
    with transaction.atomic():
        expired = [refresh.begin(person) for _ in range(5)]
        alive, token = refresh.begin(person)
        old = [session.pk for session, _ in expired]
        RefreshToken.objects.filter(family__in=old).update(expires_at=Now() - timedelta(days=2))
        Session.objects.filter(pk__in=old).update(ends_at=Now() - timedelta(days=2))
        Revocation.objects.create(user_id=person.pk, at=Now() - timedelta(days=1))
    while refresh.purge():
        pass
    assert not Session.objects.filter(pk__in=old).exists()
    assert not RefreshToken.objects.filter(family__in=old).exists()
    assert not Revocation.objects.filter(user_id=person.pk).exists()
    assert refresh.rotate(token)[1] == alive
