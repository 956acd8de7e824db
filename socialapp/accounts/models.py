"""Users, their sessions and what ends these. Counts belong to the event consumers that keep them."""

from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import PermissionsMixin
from django.db import connections, models, transaction
from django.db.models.functions import Lower, Now
from django.utils.crypto import salted_hmac

from socialapp.cqrs.ids import new_id

USERNAME = r"[A-Za-z0-9_]{3,30}"
# Characters; a hash of more takes longer, and nobody types them.
LONGEST_PASSWORD = 256
# Of the link in an email that verifies an address.
LINK_LIFETIME = timedelta(hours=24)


def mailbox_of(email: str) -> str:
    """What limits count: most servers deliver ada+anything@ to ada@, without regard to case."""
    name, _, domain = email.lower().rpartition("@")
    return f"{name.partition('+')[0]}@{domain}"


class Users(BaseUserManager):
    """Django's own commands (createsuperuser) come here; people register with the RegisterUser command."""

    def get_by_natural_key(self, username):
        # As the unique index spells it; __iexact would be UPPER() and read the whole table.
        return self.alias(lower_name=Lower("username")).get(lower_name=username.lower())

    def create_superuser(self, username, password=None, **fields):
        user = self.model(username=username, is_staff=True, is_superuser=True, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class Digest(models.Func):
    """The SHA-256 of a text, in hexadecimal. A backslash would begin an escape of bytea."""

    template = r"encode(sha256(replace(%(expressions)s, '\', '\\')::bytea), 'hex')"
    arity = 1


class User(AbstractBaseUser, PermissionsMixin):
    """A person. `sequence` is the version of the aggregate: it rises with every event about the user.

    rights_version: rises when the password changes or a right is lost, however it is written: a trigger of the table
    raises it and adds a Revocation. Sessions and access tokens with an older one have ended.
    profile_edited_at: when the last EditProfile that was applied was accepted.
    password_digest: what sessions are bound to. The read role may see it, but not `password`; the salt within that has
    128 random bits, so that nobody can try passwords against the digest.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    username = models.CharField(max_length=30, unique=True)
    email = models.EmailField(blank=True)
    email_verified_at = models.DateTimeField(null=True, editable=False)
    name = models.CharField(max_length=100, blank=True)
    bio = models.CharField(max_length=500, blank=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(db_default=Now())
    follower_count = models.PositiveIntegerField(default=0)
    following_count = models.PositiveIntegerField(default=0)
    post_count = models.PositiveIntegerField(default=0)
    sequence = models.BigIntegerField(default=0, editable=False)
    profile_edited_at = models.DateTimeField(null=True, editable=False)
    password_digest = models.GeneratedField(
        expression=Digest("password"), output_field=models.CharField(max_length=64), db_persist=True
    )
    rights_version = models.BigIntegerField(default=0, db_default=0, editable=False)

    objects = Users()

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS = []

    class Meta:
        constraints = [models.UniqueConstraint(Lower("username"), name="one_user_per_name_in_any_case")]
        indexes = [models.Index(Lower("email"), condition=~models.Q(email=""), name="users_by_email")]

    def __str__(self):
        return self.username

    def get_short_name(self):
        return self.name or self.username

    def get_session_auth_hash(self) -> str:
        """Changes with the password and with each loss of a right, and with it every session ends."""
        return self._session_hash(settings.SECRET_KEY)

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        return map(self._session_hash, settings.SECRET_KEY_FALLBACKS)

    def _session_hash(self, secret: str) -> str:
        # The column does not follow a password that was set a moment ago.
        loaded = "password" not in self.get_deferred_fields()
        digest = sha256(self.password.encode()).hexdigest() if loaded else self.password_digest
        content = f"{digest}{self.rights_version or ''}"
        return salted_hmac("socialapp.accounts.session", content, secret=secret, algorithm="sha256").hexdigest()

    def check_password(self, raw_password):
        """Whether it is the password. Hashing it again with new costs, as Django does then, ends no session."""

        def rehash(password):
            verified = self.password
            self.set_password(password)
            self._password = None
            # Only in place of the hash that was verified: the password may have been changed since.
            mine = type(self).objects.using("default").filter(pk=self.pk, password=verified)
            with transaction.atomic(using="default"), connections["default"].cursor() as cursor:
                cursor.execute("SELECT set_config('socialapp.rehashing', 'on', true)")
                mine.update(password=self.password)
                cursor.execute("SELECT set_config('socialapp.rehashing', '', true)")

        return check_password(raw_password, self.password, rehash)


class Session(models.Model):
    """A sign-in. All its refresh tokens are a family, and its access tokens carry its id.

    Its row is locked by what uses a refresh token and by what ends the session. rights_version: the user's when it
    began; when that has risen since, the session has ended. network: a digest of where it began (sign_in.py).
    """

    id = models.UUIDField(primary_key=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE)
    rights_version = models.BigIntegerField()
    started_at = models.DateTimeField(db_default=Now())
    ends_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True)
    network = models.CharField(max_length=32, default="", db_default="")

    def __str__(self):
        return f"{self.user_id} since {self.started_at:%Y-%m-%d %H:%M}"


class Revocation(models.Model):
    """Access tokens that are refused although they have not expired (identity/revocations.py); kept for an hour.

    session_id: the one that has ended; without it, all sessions of the user that are older than `version`, except
    kept_id. is_shared: the state store has it.
    """

    user_id = models.UUIDField()
    version = models.BigIntegerField(db_default=0)
    session_id = models.UUIDField(null=True)
    kept_id = models.UUIDField(null=True)
    at = models.DateTimeField(db_default=Now(), db_index=True)
    is_shared = models.BooleanField(db_default=False)

    class Meta:
        indexes = [models.Index(fields=["id"], condition=models.Q(is_shared=False), name="revocation_to_share")]

    def __str__(self):
        return f"{self.session_id or self.user_id} at {self.at:%Y-%m-%d %H:%M:%S}"


class RefreshToken(models.Model):
    """A refresh token by its SHA-256, good for one use. family: the id of its session."""

    digest = models.BinaryField(primary_key=True, max_length=32)
    family = models.UUIDField(db_index=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE)
    issued_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self):
        return f"{self.user_id} since {self.issued_at:%Y-%m-%d %H:%M}"


class EmailVerification(models.Model):
    """An email that asks the owner of an address whether it is theirs; written by verification.py and its handler.

    mailbox: the address as limits count it. claimed_at: when a worker last took it up. digest: of the link's token.
    refusal: the mail server's words, "" when it has not refused it.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    email = models.EmailField()
    mailbox = models.CharField(max_length=254)
    requested_at = models.DateTimeField(db_default=Now())
    claimed_at = models.DateTimeField(null=True)
    digest = models.BinaryField(max_length=32, null=True)
    sent_at = models.DateTimeField(null=True)
    refusal = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["digest"], name="one_verification_per_token")]
        indexes = [
            models.Index(fields=["mailbox", "requested_at"], name="verifications_of_a_mailbox"),
            models.Index(fields=["requested_at"], name="verifications_by_age"),
        ]

    def __str__(self):
        return f"{self.mailbox}, {self.requested_at:%Y-%m-%d %H:%M}"
