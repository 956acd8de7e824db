"""Users and their refresh tokens. Counts belong to the event consumers that keep them."""

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower, Now

from socialapp.cqrs.ids import new_id

USERNAME = r"[A-Za-z0-9_]{3,30}"


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


class User(AbstractBaseUser, PermissionsMixin):
    """A person. `sequence` is the version of the aggregate: it rises with every event about the user."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    username = models.CharField(max_length=30, unique=True)
    email = models.EmailField(blank=True)
    name = models.CharField(max_length=100, blank=True)
    bio = models.CharField(max_length=500, blank=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(db_default=Now())
    follower_count = models.PositiveIntegerField(default=0)
    following_count = models.PositiveIntegerField(default=0)
    post_count = models.PositiveIntegerField(default=0)
    sequence = models.BigIntegerField(default=0, editable=False)

    objects = Users()

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS = []

    class Meta:
        constraints = [models.UniqueConstraint(Lower("username"), name="one_user_per_name_in_any_case")]

    def __str__(self):
        return self.username

    def get_short_name(self):
        return self.name or self.username


class RefreshToken(models.Model):
    """A refresh token by its SHA-256. All that came from one log-in are a family, revoked together."""

    digest = models.BinaryField(primary_key=True, max_length=32)
    family = models.UUIDField(db_index=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE)
    issued_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self):
        return f"{self.user_id} since {self.issued_at:%Y-%m-%d %H:%M}"
