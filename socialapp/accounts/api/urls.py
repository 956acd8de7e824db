"""Addresses of accounts. Each view is composed of its reads and its writes, and every pool knows all of them."""

from django.urls import path, register_converter

from socialapp.accounts.api import read, write
from socialapp.accounts.models import USERNAME


class UsernameConverter:
    regex = USERNAME

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(UsernameConverter, "username")


class Me(read.ReadMe, write.EditMe):
    """My account."""


urlpatterns = [
    path("auth/register", write.Register.as_view(), name="register"),
    path("auth/token", write.ObtainToken.as_view(), name="token"),
    path("auth/token/refresh", write.RefreshToken.as_view(), name="token-refresh"),
    path("auth/logout", write.LogOut.as_view(), name="logout"),
    path("users/<username:username>", read.ReadUser.as_view(), name="user"),
    path("me", Me.as_view(), name="me"),
]
