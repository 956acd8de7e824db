"""Every way to take a right or to set a password ends the user's sessions, and every process hears of it."""

import secrets
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.hashers import get_hasher, make_password
from django.core.management import call_command
from django.db import connections, transaction
from django.test import RequestFactory
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed

from socialapp.accounts import hashers, refresh, revoking
from socialapp.accounts.commands import SetAccess, SetPassword
from socialapp.accounts.models import Revocation, Session, User
from socialapp.cqrs import keys, valkey
from socialapp.cqrs.execute import execute
from socialapp.cqrs.problems import Unavailable
from socialapp.identity import revocations
from socialapp.identity.authentication import BearerAuthentication
from socialapp.identity.revocations import Revocations
from socialapp.identity.signing import sign_access
from socialapp.tests.client import PASSWORD


@pytest.fixture
def process() -> Revocations:
    """What another process of the same deployment knows."""
    other = Revocations()
    other.read_rows_with(revoking.recent)
    return other


@pytest.fixture
def nowhere(monkeypatch):
    """nowhere("stream", "rows") makes these unreachable."""

    def cut(*what: str) -> None:
        if "stream" in what:
            monkeypatch.setattr(valkey, "state", unreachable)
        if "rows" in what:
            monkeypatch.setattr(revocations.revocations, "_rows", no_database)

    return cut


def unreachable():
    raise ConnectionError("no state store")


def no_database():
    raise Unavailable("no database")


def looks(process: Revocations) -> None:
    """As a second later."""
    process._refreshed_at = process._tried_at = float("-inf")
    assert process.is_current()


# ---- what revokes ----


def by_save(user: User) -> None:
    user.set_password("another one entirely")
    user.save()


def by_update(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=False)


def by_bulk_update(user: User) -> None:
    user.is_active = False
    User.objects.bulk_update([user], ["is_active"])


def by_sql(user: User) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute("UPDATE accounts_user SET is_superuser = false WHERE id = %s", [user.pk])


def by_command(user: User) -> None:
    execute(SetAccess(is_active=True, is_staff=False), actor_id=None, resource_id=user.pk)


def by_set_password(user: User) -> None:
    execute(SetPassword(make_password("another one entirely")), actor_id=None, resource_id=user.pk)


def by_the_management_command(user: User, monkeypatch) -> None:
    answers = iter(["another one entirely"] * 2)
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    call_command("changepassword", user.username)


def by_deletion(user: User) -> None:
    User.objects.filter(pk=user.pk).delete()


WAYS = [by_save, by_update, by_bulk_update, by_sql, by_command, by_set_password, by_the_management_command, by_deletion]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_way_ends_all_sessions(person, process, monkeypatch, way):
    # given an operator with a session
    User.objects.filter(pk=person.pk).update(is_staff=True, is_superuser=True)
    person.refresh_from_db()
    session, token = refresh.begin(person)
    # when a right is taken or the password changes
    way(person, monkeypatch) if "monkeypatch" in way.__code__.co_varnames else way(person)
    # then neither its access tokens nor its refresh tokens are good
    looks(process)
    assert process.copy.refuses(str(person.pk), person.rights_version, str(session.pk))
    with pytest.raises(refresh.InvalidRefreshToken):
        refresh.rotate(token)


def test_what_takes_no_right_ends_no_session(person, process):
    session, token = refresh.begin(person)
    User.objects.filter(pk=person.pk).update(is_staff=True, name="Another Name")
    person.refresh_from_db()
    person.last_login = None
    person.save()
    looks(process)
    assert not process.copy.refuses(str(person.pk), 0, str(session.pk))
    assert refresh.rotate(token)


def test_hashing_the_same_password_again_ends_no_session(person, monkeypatch):
    monkeypatch.setattr(hashers.Argon2, "time_cost", 1)
    before = person.password
    assert person.check_password(PASSWORD)
    person.refresh_from_db()
    assert person.password != before and person.rights_version == 0


def test_an_old_copy_of_the_row_does_not_lower_its_version(person):
    old = User.objects.get(pk=person.pk)
    User.objects.filter(pk=person.pk).update(password="!")
    old.name = "Another Name"
    old.save()
    old.refresh_from_db()
    # The old password came back with the old copy, which is a change of its own.
    assert old.rights_version == 2


def test_a_session_that_is_kept_goes_on_and_others_end(person, process):
    (kept, kept_token), (other, other_token) = refresh.begin(person), refresh.begin(person)
    execute(
        SetPassword(make_password("another one entirely"), kept_session=str(kept.pk)),
        actor_id=None,
        resource_id=person.pk,
    )
    looks(process)
    assert not process.copy.refuses(str(person.pk), 0, str(kept.pk))
    assert process.copy.refuses(str(person.pk), 0, str(other.pk))
    assert process.copy.refuses(str(person.pk), 0, None)
    assert refresh.rotate(kept_token)
    with pytest.raises(refresh.InvalidRefreshToken):
        refresh.rotate(other_token)


def test_a_session_is_kept_for_its_own_user_only(person):
    stranger = User.objects.create(username=f"user_{secrets.token_hex(6)}", password="!")
    session, token = refresh.begin(stranger)
    User.objects.filter(pk=stranger.pk).update(password="!!")
    command = SetPassword(make_password("another one entirely"), kept_session=str(session.pk))
    execute(command, actor_id=None, resource_id=person.pk)
    with pytest.raises(refresh.InvalidRefreshToken):
        refresh.rotate(token)


# ---- how other processes hear of it ----


def revoke(person: User) -> None:
    User.objects.filter(pk=person.pk).update(password="!")


def refuses(process: Revocations, person: User) -> bool:
    return process.copy.refuses(str(person.pk), 0, None)


def test_the_stream_is_enough_once_it_was_shared(person, process):
    looks(process)
    revoke(person)
    revoking.share()
    process.read_rows_with(no_database)
    looks(process)
    assert refuses(process, person) and process.source == revocations.STREAM


def test_a_store_that_lost_its_memory_is_filled_again(person, process):
    revoke(person)
    revoking.share()
    valkey.state().flushdb()
    revoking.share()
    process.read_rows_with(no_database)
    looks(process)
    assert refuses(process, person)


def test_what_another_server_of_the_store_may_lack_is_added_again(person, process):
    revoke(person)
    revoking.share()
    # given a process that has read it all, and a replica that became the store's server without the last entries
    looks(process)
    valkey.state().delete(keys.revocations("stream"))
    valkey.state().set(keys.revocations("generation"), "another server")
    revoking.share()
    fresh = Revocations()
    fresh.read_rows_with(no_database)
    looks(fresh)
    assert refuses(fresh, person)


def test_a_stream_that_nobody_keeps_up_is_not_believed(person, process):
    revoking.share()
    valkey.state().delete(keys.revocations("complete"))
    revoke(person)
    looks(process)
    assert refuses(process, person) and process.source == revocations.ROWS


def test_without_the_state_store_the_rows_are_read(person, process, nowhere):
    revoke(person)
    nowhere("stream")
    looks(process)
    assert refuses(process, person) and process.source == revocations.ROWS


def test_without_a_database_the_stream_has_to_do(person, process):
    revoke(person)
    revoking.share()
    valkey.state().delete(keys.revocations("complete"))
    process.read_rows_with(no_database)
    looks(process)
    assert refuses(process, person) and process.source == revocations.INCOMPLETE


def test_an_entry_that_nobody_can_read_is_not_passed_by(person, process):
    valkey.state().xadd(keys.revocations("stream"), {"nonsense": "1"})
    revoke(person)
    revoking.share()
    looks(process)
    assert refuses(process, person) and process.source == revocations.ROWS


def test_many_are_read_in_batches(clean_stores, process, monkeypatch):
    monkeypatch.setattr(revocations, "BATCH", 10)
    monkeypatch.setattr(revoking, "BATCH", 7)
    sessions = [uuid4() for _ in range(35)]
    Revocation.objects.bulk_create(Revocation(user_id=uuid4(), session_id=one) for one in sessions)
    revoking.share()
    process.read_rows_with(no_database)
    looks(process)
    assert all(process.copy.refuses(str(uuid4()), 0, str(one)) for one in sessions)


def test_a_copy_is_bounded(monkeypatch):
    monkeypatch.setattr(revocations, "MOST", 3)
    copy = revocations.Copy()
    copy.add(revocations.Revocation(f"user {number}", 1) for number in range(5))
    assert len(copy) == 3 and copy.refuses("user 4", 0, None) and not copy.refuses("user 1", 0, None)


def test_a_copy_forgets_what_no_token_can_outlive(monkeypatch):
    monkeypatch.setattr(revocations, "KEPT", -1)
    copy = revocations.Copy()
    copy.add([revocations.Revocation("user", 1), revocations.Revocation("user", 0, session="session")])
    assert len(copy) == 0


# ---- when nothing can be asked ----


@pytest.fixture
def blind(nowhere, monkeypatch):
    """This process has not heard of any revocation for too long."""
    monkeypatch.setattr(revocations.revocations, "_refreshed_at", float("-inf"))
    monkeypatch.setattr(revocations.revocations, "_tried_at", float("-inf"))
    nowhere("stream", "rows")


def bearer(person: User, method: str, *, is_staff: bool = False):
    token = sign_access(user_id=person.pk, username=person.username, is_staff=is_staff)
    request = RequestFactory().generic(method, "/", headers={"Authorization": f"Bearer {token}"})
    user, _ = BearerAuthentication().authenticate(request)
    return user


def test_blind_reads_of_ones_own_go_on(person, blind):
    assert not bearer(person, "GET").is_staff


def test_blind_writes_are_refused(person, blind):
    with pytest.raises(Unavailable):
        bearer(person, "POST")


def test_blind_staff_reads_are_refused(person, blind):
    with pytest.raises(Unavailable):
        assert bearer(person, "GET", is_staff=True).is_staff


def test_a_revoked_token_is_refused_with_its_own_code(person, monkeypatch):
    monkeypatch.setattr(revocations.revocations, "_refreshed_at", float("-inf"))
    revoke(person)
    with pytest.raises(AuthenticationFailed) as refusal:
        bearer(person, "GET")
    assert refusal.value.get_codes() == "token_revoked"


def test_a_session_that_a_demotion_ended_is_not_kept_by_a_later_password(person):
    session = Session.objects.create(
        id=uuid4(), user_id=person.pk, rights_version=0, ends_at=timezone.now() + timedelta(days=1)
    )
    User.objects.filter(pk=person.pk).update(is_active=False)
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute("SELECT set_config('socialapp.kept_session', %s, true)", [str(session.pk)])
        User.objects.filter(pk=person.pk).update(password=make_password(PASSWORD))
    kept = Revocation.objects.filter(user_id=person.pk).order_by("version").values_list("kept_id", flat=True)
    assert list(kept) == [None, None]


def test_a_rehash_does_not_bring_a_former_password_back(person, monkeypatch):
    User.objects.filter(pk=person.pk).update(password=make_password("the former one"))
    signing_in = User.objects.get(pk=person.pk)
    User.objects.filter(pk=person.pk).update(password=make_password("the present one"))
    monkeypatch.setattr(type(get_hasher()), "must_update", lambda *_: True)
    assert signing_in.check_password("the former one")
    assert User.objects.get(pk=person.pk).check_password("the present one")
