"""The only writers of users."""

from socialapp.accounts.handlers import passwords, profile, registration, verification

__all__ = ["passwords", "profile", "registration", "verification"]
