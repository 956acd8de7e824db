"""`<username:...>` in routes; imported by the route tables that use it."""

from django.urls import register_converter

from socialapp.accounts.models import USERNAME


class UsernameConverter:
    regex = USERNAME

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(UsernameConverter, "username")
