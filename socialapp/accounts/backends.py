"""How Django finds users: by name and password, in a limited number of attempts, and by their session in every pool."""

from uuid import UUID

from django.contrib.auth.backends import ModelBackend

from socialapp.accounts import sign_in
from socialapp.accounts.models import LONGEST_PASSWORD, User

# What the read role may see of a user, and a session or a page needs.
OF_A_SESSION = (
    "id",
    "username",
    "name",
    "is_active",
    "is_staff",
    "is_superuser",
    "password_digest",
    "rights_version",
)


class Accounts(ModelBackend):
    """The only way to a sign-in: of the API, the admin and the browsable API."""

    def authenticate(self, request, username=None, password=None, **kwargs) -> User | None:
        """The active user of this name and password. Raises TooManyRequests."""
        if username is None or password is None:
            return None
        attempt = sign_in.begin(username, request)
        # The API refuses a longer one with a 400; Django's forms have no limit.
        is_possible = len(password) <= LONGEST_PASSWORD
        user = super().authenticate(request, username=username, password=password) if is_possible else None
        if user is None:
            attempt.failed()
        else:
            attempt.succeeded(user)
        return user

    def get_user(self, user_id: UUID) -> User | None:
        """An active user. Other columns are read when they are asked for, which the read role may not do."""
        return User.objects.only(*OF_A_SESSION).filter(pk=user_id, is_active=True).first()
