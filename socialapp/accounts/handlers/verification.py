"""Verification of email addresses: who may be asked how often, and whose address is theirs."""

from uuid import UUID

from django.db import connections

from socialapp.accounts.commands import RequestEmailVerification, VerifyEmail
from socialapp.accounts.models import LINK_LIFETIME, mailbox_of
from socialapp.cqrs.commands import Envelope, handles
from socialapp.cqrs.effects import Effects
from socialapp.cqrs.problems import Problem

# So many emails to one mailbox, over all accounts that name it: anybody can register a stranger's address.
PER_DAY, PER_MONTH = 3, 10
# Places of a mailbox beside these, for users who are signed in and ask for their own account, and how many emails one
# account gets in a day out of them: strangers who name an address of others cannot use these up by asking.
RESERVED, OF_ONE_ACCOUNT = 3, 2
# The first key of an advisory lock, the second is of the mailbox: two requests cannot both take the last place.
LOCK = 0x656D6169
ASK = """
    INSERT INTO accounts_emailverification (id, user_id, email, mailbox, refusal)
    SELECT uuidv7(), id, email, %(mailbox)s, ''
    FROM accounts_user
    WHERE lower(email) = lower(%(email)s) AND email <> '' AND is_active AND email_verified_at IS NULL AND NOT EXISTS (
        SELECT FROM accounts_emailverification
        WHERE user_id = accounts_user.id AND sent_at IS NULL AND refusal = '' AND requested_at > now() - %(lifetime)s)
      AND (%(user_id)s::uuid IS NULL OR id = %(user_id)s AND %(of_one_account)s > (
        SELECT count(*) FROM accounts_emailverification
        WHERE user_id = accounts_user.id AND requested_at > now() - interval '1 day'))
    ORDER BY id DESC
    LIMIT (SELECT greatest(0, least(
               %(per_day)s - count(*) FILTER (WHERE requested_at > now() - interval '1 day'),
               %(per_month)s - count(*)))
           FROM accounts_emailverification
           WHERE mailbox = %(mailbox)s AND requested_at > now() - interval '30 days')
"""
# Once more for a link that is opened twice. An address that was changed since is another one.
VERIFY = """
    UPDATE accounts_user SET email_verified_at = coalesce(email_verified_at, now())
    FROM accounts_emailverification AS asked
    WHERE asked.digest = %s AND asked.claimed_at > now() - %s
      AND accounts_user.id = asked.user_id AND accounts_user.email = asked.email AND is_active
"""


class LinkNotValid(Problem):
    status, code, title = 400, "invalid_link", "The link is not valid"


@handles(RequestEmailVerification)
def request_email_verification(envelopes: list[Envelope], effects: Effects) -> None:
    """Whoever asks is told nothing: neither whether there is such an account, nor whether an email is sent."""
    for envelope in envelopes:
        ask_owner(envelope.command.email)
        if envelope.actor_id:
            ask_owner(envelope.command.email, asking=envelope.actor_id)


@handles(VerifyEmail)
def verify_email(envelopes: list[Envelope], effects: Effects) -> None:
    for envelope in envelopes:
        with connections["default"].cursor() as cursor:
            cursor.execute(VERIFY, [bytes.fromhex(envelope.command.digest), LINK_LIFETIME])
            if not cursor.rowcount:
                effects.reject(envelope, LinkNotValid("It is too old, or incomplete. Ask for another email."))


def ask_owner(email: str, *, asking: UUID | None = None) -> None:
    """Have an email sent for each unverified account with this address, as far as its mailbox has room.

    asking: the user who is signed in and asks; then only for their account, and from the reserved places too.
    """
    mailbox = mailbox_of(email)
    more = RESERVED if asking else 0
    limits = {"lifetime": LINK_LIFETIME, "per_day": PER_DAY + more, "per_month": PER_MONTH + more}
    own = {"user_id": asking, "of_one_account": OF_ONE_ACCOUNT}
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [LOCK, mailbox])
        cursor.execute(ASK, {"email": email, "mailbox": mailbox} | limits | own)
