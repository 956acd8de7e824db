"""An address is used only after its owner said so, and whoever owns it is asked a few times at most."""

import re
import threading
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection, transaction
from django.utils.timezone import now
from rest_framework.test import APIClient

from socialapp.accounts import verification
from socialapp.accounts.commands import RegisterUser, RequestEmailVerification, VerifyEmail
from socialapp.accounts.handlers.verification import (
    OF_ONE_ACCOUNT,
    PER_DAY,
    PER_MONTH,
    RESERVED,
    LinkNotValid,
    ask_owner,
)
from socialapp.accounts.models import EmailVerification, User, mailbox_of
from socialapp.cqrs.execute import execute
from socialapp.cqrs.failures import OutsideUnreachable
from socialapp.cqrs.ids import new_id
from socialapp.mail import delivery
from socialapp.resilience.rates import Rate
from socialapp.tests.client import PASSWORD
from socialapp.tests.valkeys import wait_until

pytestmark = pytest.mark.usefixtures("clean_stores")


@pytest.fixture(autouse=True)
def outbox(settings, servers):
    """What was sent, in this process's memory."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    EmailVerification.objects.all().delete()
    mail.outbox = []
    return mail.outbox


def some_address() -> str:
    return f"ada.{new_id().hex[-12:]}@example.org"


def register(email: str, username: str = "", name: str = "Buy pills at evil.example") -> User:
    command = RegisterUser(username or f"user_{new_id().hex[-12:]}", "!", email, name)
    return User.objects.get(pk=execute(command, actor_id=None).resource_id)


def ask(email: str) -> None:
    execute(RequestEmailVerification(email), actor_id=None)


def token_of(message) -> str:
    return re.search(r"token=([\w-]+)", message.body)[1]


def verify(token: str) -> None:
    execute(VerifyEmail(verification.digest_of(token).hex()), actor_id=None)


def is_verified(user: User) -> bool:
    user.refresh_from_db()
    return user.email_verified_at is not None


def test_a_registration_asks_the_owner_of_the_address(outbox):
    email = some_address()
    user = register(email)
    assert not is_verified(user)
    assert verification.send_due() == 1 and verification.send_due() == 0
    (message,) = outbox
    assert message.to == [email]
    verify(token_of(message))
    assert is_verified(user)


def test_the_email_holds_nothing_that_was_typed(outbox):
    user = register(some_address(), username=f"pills_{new_id().hex[-12:]}")
    verification.send_due()
    (message,) = outbox
    text = message.subject + message.body + str(message.alternatives)
    assert "evil.example" not in text and user.username not in text


def test_without_an_address_nobody_is_asked(outbox):
    register("")
    ask("")
    assert verification.send_due() == 0


def test_a_link_may_be_opened_twice(outbox):
    user = register(some_address())
    verification.send_due()
    verify(token_of(outbox[0]))
    first = user.email_verified_at if is_verified(user) else None
    verify(token_of(outbox[0]))
    user.refresh_from_db()
    assert user.email_verified_at == first


@pytest.mark.parametrize("token", ["", "nonsense", "A" * 43])
def test_another_token_verifies_nothing(outbox, token):
    user = register(some_address())
    verification.send_due()
    with pytest.raises(LinkNotValid):
        verify(token)
    assert not is_verified(user)


def test_an_old_link_verifies_nothing(outbox):
    user = register(some_address())
    verification.send_due()
    EmailVerification.objects.update(claimed_at=now() - timedelta(hours=25))
    with pytest.raises(LinkNotValid):
        verify(token_of(outbox[0]))
    assert not is_verified(user)


def test_a_link_is_of_one_address(outbox):
    user = register(some_address())
    verification.send_due()
    User.objects.filter(pk=user.pk).update(email=some_address())
    with pytest.raises(LinkNotValid):
        verify(token_of(outbox[0]))
    assert not is_verified(user)


def test_the_token_itself_is_not_kept(outbox):
    register(some_address())
    verification.send_due()
    token = token_of(outbox[0])
    assert not [row for row in EmailVerification.objects.values() if token in str(row)]


def test_one_mailbox_gets_so_many_a_day_over_all_accounts(outbox):
    email = some_address()
    name, _, domain = email.partition("@")
    spelled = [email, email.upper(), f"{name}+a@{domain}", f"{name}+b@{domain}", f"{name}+c@EXAMPLE.ORG"]
    for one in spelled:
        register(one)
        verification.send_due()
        ask(one)
        verification.send_due()
    assert len(outbox) == PER_DAY and {mailbox_of(message.to[0]) for message in outbox} == {email}


def test_and_so_many_a_month(outbox):
    email = some_address()
    register(email)
    for _ in range(PER_MONTH + 2):
        verification.send_due()
        EmailVerification.objects.update(requested_at=now() - timedelta(days=2))
        ask(email)
    assert len(outbox) == PER_MONTH


@pytest.fixture
def used_up(outbox):
    """(address, owner): strangers have registered it as well, and have asked until its mailbox had no place left."""
    email = some_address()
    owner = register(email)
    EmailVerification.objects.all().delete()
    for _ in range(PER_DAY):
        register(email)
        verification.send_due()
    ask(email)
    assert verification.send_due() == 0 and len(outbox) == PER_DAY
    outbox.clear()
    return email, owner


def test_who_is_signed_in_is_asked_although_strangers_used_up_the_places(used_up, outbox):
    email, owner = used_up
    execute(RequestEmailVerification(email), actor_id=owner.pk)
    assert verification.send_due() == 1
    verify(token_of(outbox[0]))
    assert is_verified(owner)


def test_reserved_places_are_few_for_a_mailbox_and_fewer_for_an_account(used_up):
    email, owner = used_up
    asked = EmailVerification.objects.filter(mailbox=mailbox_of(email))
    for user in [owner, *User.objects.filter(email=email).exclude(pk=owner.pk)]:
        for _ in range(4):
            execute(RequestEmailVerification(email), actor_id=user.pk)
            verification.send_due()
        assert asked.filter(user=user).count() <= OF_ONE_ACCOUNT
    assert asked.filter(user=owner).count() == OF_ONE_ACCOUNT and asked.count() == PER_DAY + RESERVED


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/auth/email/verify", {"email": "ada@example.org"}),
        ("/api/v1/auth/register", {"username": "ada", "password": "x", "email": "ada@example.org"}),
    ],
)
def test_one_network_asks_for_so_many_emails(path, body, monkeypatch):
    monkeypatch.setattr(verification, "PER_NETWORK", Rate("verification-from-network", size=3, every=60))
    client = APIClient(HTTP_HOST="localhost", HTTP_X_REAL_IP="192.0.2.77")
    statuses = []
    for _ in range(5):
        person = body | ({"username": f"ada_{new_id().hex[-12:]}", "password": PASSWORD} if "username" in body else {})
        statuses.append(client.post(path, person, format="json").status_code)
    assert statuses[3:] == [429, 429] and set(statuses[:3]) <= {201, 202}
    assert client.post(path, body, format="json", HTTP_X_REAL_IP="192.0.2.78").status_code != 429


def test_simultaneous_requests_do_not_exceed_the_limit():
    """given accounts with one address, and a request that is not committed"""
    email = some_address()
    users = [register(f"{number}{email}") for number in range(2 * PER_DAY)]
    User.objects.filter(pk__in=[user.pk for user in users]).update(email=email)
    EmailVerification.objects.all().delete()
    other = threading.Thread(target=ask_and_hang_up, args=[email])
    with transaction.atomic():
        ask_owner(email)
        # when another one comes
        other.start()
        wait_until(lambda: somebody_waits() or not other.is_alive())
    other.join()
    # then it has counted the first
    assert EmailVerification.objects.filter(mailbox=mailbox_of(email)).count() == PER_DAY


def ask_and_hang_up(email: str) -> None:
    ask(email)
    connection.close()


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)")
        return cursor.fetchone()[0]


def test_who_asks_again_before_the_email_was_sent_gets_one(outbox):
    email = some_address()
    register(email)
    ask(email)
    assert verification.send_due() == 1 and len(outbox) == 1


def test_nobody_is_asked_for_a_verified_or_deactivated_account(outbox):
    verified, gone = register(some_address()), register(some_address())
    EmailVerification.objects.all().delete()
    User.objects.filter(pk=verified.pk).update(email_verified_at=now())
    User.objects.filter(pk=gone.pk).update(is_active=False)
    for user in (verified, gone):
        ask(user.email)
    assert verification.send_due() == 0


def test_a_mail_server_that_is_away_is_asked_again(outbox, monkeypatch):
    register(some_address())
    with monkeypatch.context() as patched:
        patched.setattr(delivery, "send", unreachable)
        assert verification.send_due() == 0
    assert verification.send_due() == 1


def unreachable(message, connection):
    raise OutsideUnreachable("it is away")


def test_a_refusal_is_noted_and_not_repeated(monkeypatch):
    user = register(some_address())
    monkeypatch.setattr(delivery, "send", refused)
    assert verification.send_due() == verification.send_due() == 0
    assert EmailVerification.objects.get(user=user).refusal == "550 nobody here"


def refused(message, connection):
    raise delivery.Refused("550 nobody here")


def test_old_rows_are_purged(outbox):
    old, new = register(some_address()), register(some_address())
    EmailVerification.objects.filter(user=old).update(requested_at=now() - timedelta(days=40))
    assert verification.purge() == 1 and verification.purge() == 0
    assert EmailVerification.objects.filter(user=new).exists()
