"""The only writers of users."""

from socialapp.accounts.handlers import profile, registration

__all__ = ["profile", "registration"]
