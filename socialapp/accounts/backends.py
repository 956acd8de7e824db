"""How Django finds users: by name and password in the write pool, and by their session in every pool."""

from uuid import UUID

from django.contrib.auth.backends import ModelBackend

from socialapp.accounts.models import User

# What the read role may see of a user, and a session or a page needs.
OF_A_SESSION = ("id", "username", "name", "is_active", "is_staff", "is_superuser", "password_digest")


class Accounts(ModelBackend):
    def get_user(self, user_id: UUID) -> User | None:
        """An active user. Other columns are read when they are asked for, which the read role may not do."""
        return User.objects.only(*OF_A_SESSION).filter(pk=user_id, is_active=True).first()
