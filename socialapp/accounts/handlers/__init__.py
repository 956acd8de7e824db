"""The only writers of users."""

from socialapp.accounts.handlers import profile, registration, verification

__all__ = ["profile", "registration", "verification"]
